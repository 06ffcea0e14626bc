"""The data sets as their authors publish them: URLs, file names and checksums."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A published data set.

    `files` maps file names to known hashes ("md5:..."). `url` names an archive of them with `archive_hash`
    ("sha256:..."), or, where there is no archive, the folder (ending in "/") that holds the files.
    """

    name: str
    folder: str
    files: dict
    url: str
    archive_hash: str | None = None

    @property
    def archives(self) -> tuple:
        """Names of the archive: the published one, then those that Keras 2 and 3 give it in their cache."""
        if self.archive_hash is None:
            return ()
        names = (self.url.rpartition("/")[2], f"{self.folder}.tar.gz", f"{self.folder}-target_archive")
        return tuple(dict.fromkeys(names))

    @property
    def expected(self) -> str:
        """What to look for, in words."""
        archive = f"{self.archives[0]} or " if self.archives else ""
        return f"{archive}a folder with {', '.join(self.files)}"


CIFAR100 = Source(
    "cifar100",
    "cifar-100-python",
    url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    archive_hash="sha256:85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    files={
        "train": "md5:16019d7e3df5f24257cddd939b257f8d",
        "test": "md5:f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "md5:7973b15100ade9c7d40fb424638fde48",
    },
)
CIFAR10 = Source(
    name="cifar10",
    folder="cifar-10-batches-py",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    archive_hash="sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    files={
        "data_batch_1": "md5:c99cafc152244af753f735de768cd75f",
        "data_batch_2": "md5:d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "md5:54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "md5:634d18415352ddfa80567beed471001a",
        "data_batch_5": "md5:482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "md5:40351d587109b95175f43aff81a1287e",
        "batches.meta": "md5:5ff9c542aee3614f3951f8cda6e48888",
    },
)
MNIST = Source(
    name="mnist",
    folder="mnist",
    url="https://ossci-datasets.s3.amazonaws.com/mnist/",
    files={
        "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
    },
)
