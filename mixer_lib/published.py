"""The data sets as their authors publish them: addresses, file names and the sums that prove a copy whole."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A data set as its authors publish it.

    `files` maps file names to MD5 sums. `url` names an archive of them with SHA-256 `archive_sum`,
    or, where there is no archive, the folder (ending in "/") that holds the files.
    """

    name: str
    folder: str
    files: dict
    url: str
    archive_sum: str | None = None

    @property
    def archives(self) -> tuple:
        """Names of the archive: the published one, then those that Keras 2 and 3 give it in their cache."""
        if self.archive_sum is None:
            return ()
        return (self.url.rpartition("/")[2], f"{self.folder}.tar.gz", f"{self.folder}-target_archive")

    @property
    def wanted(self) -> str:
        """What to look for, in words."""
        archive = f"{self.archives[0]} or " if self.archives else ""
        return f"{archive}a folder with {', '.join(self.files)}"


CIFAR100 = Published(
    name="cifar100",
    folder="cifar-100-python",
    url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    archive_sum="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    files={
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    },
)
CIFAR10 = Published(
    name="cifar10",
    folder="cifar-10-batches-py",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    archive_sum="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    files={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
        "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    },
)
MNIST = Published(
    name="mnist",
    folder="mnist",
    url="https://ossci-datasets.s3.amazonaws.com/mnist/",
    files={
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
)
