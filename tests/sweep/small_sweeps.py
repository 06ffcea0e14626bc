"""Sweeps of tiny models on the embedded digits, and an engine that runs them in this process."""

from mixer_lib import __main__ as program
from mixer_lib.sweep.sweep import sweep

TINY = "set = { patch_size = 8, num_blocks = 1, hidden_dim = 8, tokens_mlp_dim = 4, channels_mlp_dim = 8 }\n"
HEAD = 'dataset = "digits"\nepochs = 2\n'
ONE_BY_TWO = f'{HEAD}{TINY}[[runs]]\nname = "a"\nseeds = [0, 1]\n'
TWO_BY_TWO = f'{ONE_BY_TWO}[[runs]]\nname = "b"\nseeds = [0, 1]\nset = {{ zoom = 0.0 }}\n'


class InThisProcess:
    """Runs each command when it is asked whether it has finished; `act(words)` is called before, if given."""

    gpus, address = 0, None

    def __init__(self, slots=2, act=lambda words: None):
        self.slots, self.act, self.begun, self.queue, self.stopped = slots, act, [], [], False

    def __call__(self, cpus, address):
        self.cpus = cpus
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def submit(self, words):
        self.begun.append(next(word for word in words if word.startswith("--run-dir=")).rpartition("/")[2])
        self.queue.append(words)
        assert len(self.queue) <= self.slots
        return self.begun[-1]

    def finished(self, timeout):
        words = self.queue.pop(0)
        self.act(words)
        error, name = "", next(word for word in words if word.startswith("--run-dir=")).rpartition("/")[2]
        try:
            program.main(words)
        except SystemExit as end:
            error = str(end.code).removeprefix("error: ")
        return [(name, error, [])]

    def stop(self):
        self.stopped = True


def run(engine, file, **options):
    sweep(file, make_engine=engine, **options)
    return engine.begun
