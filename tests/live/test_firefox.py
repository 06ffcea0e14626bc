"""The live page in Firefox, with the strict policy for files that readers have."""

import numpy as np
import pytest
from live.marionette import find_firefox, firefox
from live.scripts import MODELS, assert_same_logits
from PIL import Image

import mixer_lib
from mixer_lib.pictures.read import read_picture

pytestmark = [pytest.mark.browser, pytest.mark.skipif(find_firefox() is None, reason="no Firefox here")]
LAB = "document.querySelector('.mixer-lab').mixerLab"
UNTIL = "const until = async (test) => { while (!test()) await new Promise(go => requestAnimationFrame(go)); };"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with firefox(tmp_path_factory.mktemp("firefox") / "profile") as session:
        yield session


@pytest.fixture
def lab(browser, html):
    browser.open((html / "book/at_work.html").as_uri())
    assert browser.run(f"{UNTIL} await until(() => {LAB}?.root.dataset.ready === 'all'); return 'ready'") == "ready"
    return browser


def test_a_page_on_disk_may_not_read_what_lies_beside_it(lab):
    """Else this test would prove nothing: the policy is on."""
    said = lab.run("return fetch('../live/mixer.js').then(() => 'read', () => 'refused')")
    assert said == "refused"


def test_all_models_answer_as_keras_does(lab):
    found = lab.run(f"""{UNTIL} const lab = {LAB};
        return [Array.from(lab.source()), lab.names.map((name) => Array.from(lab.result(name).logits))]""")
    image = np.reshape(found[0], (1, 32, 32, 3))
    for name, ours in zip(MODELS, found[1], strict=True):
        assert_same_logits([ours], np.asarray(mixer_lib.load_pretrained(name)[0](image)))
    assert lab.run("return document.querySelectorAll('.ml-model .ml-name').length") == 5 * len(MODELS)


def test_a_picture_of_ones_own_is_read(lab, tmp_path):
    picture = tmp_path / "own.png"
    pixels = np.random.default_rng(0).integers(0, 256, (9, 6, 3)).astype("uint8")
    Image.fromarray(pixels).resize((300, 450)).save(picture)
    lab.choose_file(".ml-file", picture)
    seen = lab.run(f"{UNTIL} await until(() => {LAB}.state.picture === 'own'); return Array.from({LAB}.source())")
    assert np.abs(np.reshape(seen, (32, 32, 3)) - read_picture(picture, 32)).max() <= 2


def test_the_state_is_kept_in_the_link(lab):
    state = lab.run(f"""{UNTIL} document.querySelector('[data-step="5"]').click();
        await until(() => location.hash.includes('step=5')); return {LAB}.state.step""")
    assert state == 5
