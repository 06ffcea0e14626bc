"""The live page in a browser: opened from disk, used with mouse, finger and keyboard, in light and dark."""

import json
import re
import shutil
import zlib

import numpy as np
import pytest
from book.test_browser import AXE, CHECK, OVERFLOW, from_the_network
from live.scripts import TOLERANCE, assert_same_logits, gallery
from PIL import Image

import mixer_lib
from mixer_lib.pictures.read import read_picture
from tools.paths import ROOT
from tools.render import live, pdf

pytestmark = pytest.mark.skipif(pdf.find_browser() is None, reason="no browser here")
in_check = pytest.mark.browser
STEPS = 17
CHAPTERS = {"02_patches": "patches", "03_mixing": "block", "06_testing": "answer", "07_inside": "why"}
# resolved when patches begin to fly from the picture into the table
WATCH_FLIGHT = """void (window.flew = new Promise(done => new MutationObserver(
  changes => changes.some(change => [...change.addedNodes].some(node => node.className === 'ml-fly')) && done(true)
).observe(document.querySelector('.mixer-lab'), {childList: true})))"""
USABLE = ".mixer-lab :is(button, input, select, summary, [role=application])"
UNREACHED = f"""[...document.querySelectorAll('{USABLE}')].filter(e =>
  e.offsetParent && !e.disabled && e.tabIndex >= 0 && !e.dataset.met &&
  !(e.type === 'radio' && [...document.getElementsByName(e.name)].some(other => other.dataset.met)))"""
NAME = """e => e.getAttribute('aria-label') || e.innerText?.trim() || e.querySelector?.('img')?.alt ||
  e.labels?.[0]?.innerText"""
DAMAGED_LINKS = ["step=99&patch=-5&class=x", "picture=nothing&model=none&order=7", "tokens=abc&right=1e9"]
DAMAGED_LINKS += ["picture=draw.zz9999999"]
LAB = "document.querySelector('.mixer-lab').mixerLab"


def open_lab(page, html, state="", name="book/at_work"):
    """Open a page, with a state in its link; wait until all models are there and shown."""
    page.goto("about:blank")
    page.goto((html / f"{name}.html").as_uri() + (f"#{state}" if state else ""))
    page.locator(".mixer-lab").scroll_into_view_if_needed()
    page.locator(".mixer-lab[data-ready=all]").wait_for()
    settle(page)


def settle(page):
    """Until what is shown is the state's."""
    page.wait_for_function(f"(() => {{ const l = {LAB}; return !l.waiting && l.root.dataset.shown === l.key(); }})()")


def top_five(page, model="article"):
    names = page.locator(f".ml-model[data-model={model}] .ml-name")
    return names.all_inner_texts()


def logits(page, model="article"):
    return np.array(page.evaluate(f"Array.from({LAB}.result('{model}').logits)"))


def test_the_live_page_opens_from_disk_and_all_models_answer(html, page):
    open_lab(page, html)
    assert top_five(page)[0] == "raccoon"
    assert {len(top_five(page, name)) for name in live.MODELS} == {5}
    assert page.errors == []
    assert from_the_network(page.requests) == []


@in_check
def test_the_gallerys_answers_are_those_of_keras(html, page):
    """The browser's own decoding of a JPEG may differ by rounding: compared on the pixels that it has."""
    open_lab(page, html)
    models = {name: mixer_lib.load_pretrained(name)[0] for name in live.MODELS}
    for picture, expected in zip(live.pack_gallery(), gallery(), strict=True):
        page.locator(f"[data-picture={picture['name']}]").click()
        page.wait_for_function(f"{LAB}.state.picture === '{picture['name']}' && !!{LAB}.pictures['{picture['name']}']")
        settle(page)
        seen = np.reshape(page.evaluate(f"Array.from({LAB}.source())"), (32, 32, 3)).astype("uint8")
        assert np.abs(seen.astype(int) - expected).max() <= 2
        for name, model in models.items():
            assert_same_logits([logits(page, name)], np.asarray(model(seen[None])))
    assert page.errors == []


@in_check
def test_every_step_shows_itself_fits_a_phone_and_serves_a_screen_reader(html, page):
    open_lab(page, html)
    page.emulate_media(reduced_motion="reduce")
    page.add_script_tag(content=AXE)
    titles = set()
    for step in range(STEPS):
        page.locator(f"[data-step='{step}']").click()
        settle(page)
        titles.add(page.locator(".ml-sentence strong").inner_text())
        assert page.evaluate("document.querySelector('.ml-stage').innerText.length") > 10
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate(OVERFLOW) == [], step
        page.set_viewport_size({"width": 1400, "height": 900})
        if step in (0, 1, 3, 4, 15, 16):
            assert page.evaluate(CHECK) == {"light": [], "dark": []}, step
            page.evaluate("document.documentElement.dataset.theme = 'light'")
    assert len(titles) == STEPS
    assert page.errors == []


@in_check
def test_all_that_can_be_used_is_reached_with_the_tab_key_and_has_a_name(html, page):
    open_lab(page, html)
    page.locator("[data-do=draw]").click()
    page.locator("[data-picture]").first.focus()
    for _ in range(110):
        page.evaluate("document.activeElement.dataset.met = 'yes'")
        page.keyboard.press("Tab")
        if page.evaluate(f"{UNREACHED}.length") == 0:
            break
    assert page.evaluate(f"{UNREACHED}.map(e => e.outerHTML.slice(0, 120))") == []
    for element in page.locator(USABLE).all():
        if element.is_visible():
            name = element.evaluate(NAME)
            assert name, element.evaluate("e => e.outerHTML.slice(0, 150)")


@in_check
def test_the_keyboard_walks_through_steps_and_tables(html, page):
    open_lab(page, html, "step=4&patch=0&channel=0")
    page.locator("[role=tab][aria-selected=true]").focus()
    page.keyboard.press("ArrowRight")
    settle(page)
    assert "channel mixing" in page.locator(".ml-sentence strong").inner_text()
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.dataset.step") == "0"
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.dataset.step") == str(STEPS - 1)
    page.locator("[data-step='2']").click()
    grid = page.locator("[data-grid=table]")
    grid.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "Shift+ArrowDown"):
        page.keyboard.press(key)
    settle(page)
    assert page.evaluate(f"[{LAB}.state.channel, {LAB}.state.patch]") == [2, 9]
    value = page.evaluate(f"{LAB}.result().embedded[9 * 128 + 2]")
    assert page.locator(".ml-readout").inner_text() == f"patch 9, channel 2: {value:.3f}".replace("-", "−")
    assert page.locator(".ml-readout").get_attribute("aria-live") == "polite"


@in_check
def test_pointing_at_a_patch_lights_its_row_and_the_other_way_round(html, page):
    open_lab(page, html, "step=2")
    place = page.locator("[data-grid=picture]").bounding_box()
    page.mouse.move(place["x"] + place["width"] * 0.94, place["y"] + place["height"] * 0.06)
    settle(page)
    top = page.locator("[data-grid=table] .ml-mark-row").evaluate("e => parseFloat(e.style.top)")
    assert top == pytest.approx(100 * 7 / 64)
    table = page.locator("[data-grid=table] canvas").bounding_box()
    page.mouse.move(table["x"] + table["width"] * 0.5, table["y"] + table["height"] * 0.999)
    settle(page)
    frame = page.locator("[data-grid=picture] .ml-mark-row").evaluate(
        "e => [e.style.left, e.style.top].map(parseFloat)"
    )
    assert frame == [87.5, 87.5]


@in_check
def test_a_model_of_another_shape_brings_its_own_blocks_and_a_link_to_it_works(html, page):
    open_lab(page, html, "picture=rocket&tokens=0123&step=13&channel=120")
    assert page.locator("[data-step]").count() == STEPS and page.locator("[data-off=tokens]").count() == 4
    page.locator(".ml-pick-model[data-model=article-best]").click()
    settle(page)
    assert page.locator("[data-step]").count() == STEPS + 2 * 3 and page.locator("[data-off=tokens]").count() == 6
    state = page.evaluate(f"{LAB}.state")
    assert (state["step"], state["channel"], state["tokens"]) == (13, 95, "0123")  # the same step, the last channel
    page.locator("[data-all=tokens]").click()
    page.locator("[data-step='19']").click()  # of a block that the other model lacks
    settle(page)
    assert page.evaluate(f"{LAB}.state.tokens") == "012345" and "the mean" in page.locator(".ml-off-note").inner_text()
    before = logits(page, "article-best")
    open_lab(page, html, page.evaluate(f"{LAB}.link()"))
    assert page.evaluate(f"{LAB}.state.step") == 19
    assert np.abs(logits(page, "article-best") - before).max() == 0
    page.locator(".ml-pick-model[data-model=article]").click()
    settle(page)
    assert page.locator("[data-step]").count() == STEPS and page.evaluate(f"{LAB}.state.tokens") == "0123"
    assert page.errors == []


@in_check
def test_a_link_brings_the_state_back(html, page):
    open_lab(page, html)
    page.locator("[data-picture=dahlia]").click()
    page.locator("[data-step='9']").click()
    page.locator("[data-state=right]").fill("3")
    page.locator("[data-state=noise]").fill("20")
    page.locator("[data-off=tokens][value='2']").check()
    page.locator(".ml-pick-model[data-model=article-plus]").click()
    page.locator("[data-state=class]").select_option("70")
    page.locator("[data-state=over]").select_option("votes")
    settle(page)
    before = page.evaluate(f"{LAB}.state"), logits(page)
    page.locator("[data-do=copy]").click()
    link = page.locator(".ml-link").input_value()
    page.goto("about:blank")
    page.goto(link)
    page.locator(".mixer-lab[data-ready=all]").wait_for()
    settle(page)
    assert page.evaluate(f"{LAB}.state") == before[0]
    assert np.abs(logits(page) - before[1]).max() == 0
    page.wait_for_function("location.hash.includes('picture=dahlia')")
    page.reload()
    page.locator(".mixer-lab[data-ready=all]").wait_for()
    assert page.evaluate(f"{LAB}.state") == before[0]


@in_check
@pytest.mark.parametrize("link", DAMAGED_LINKS)
def test_a_damaged_link_leaves_a_page_that_works(html, page, link):
    open_lab(page, html, link)
    assert len(top_five(page)) == 5
    assert page.errors == []


@in_check
def test_shuffling_changes_the_answer_and_moving_the_weights_along_brings_it_back(html, page):
    open_lab(page, html)
    before = logits(page)
    page.locator("[data-state=order][value=patches]").check()
    settle(page)
    assert np.abs(logits(page) - before).max() > 1
    page.locator("[data-state=order][value=both]").check()
    settle(page)
    assert np.abs(logits(page) - before).max() <= TOLERANCE
    assert "rounding" in page.locator(".ml-change").inner_text()
    page.locator("[data-do=reset]").click()
    settle(page)
    assert page.locator(".ml-change").inner_text() == ""


@in_check
def test_noise_can_be_drawn_again_and_its_link_brings_it_back(html, page):
    open_lab(page, html, "order=patches")
    found = [page.evaluate(f"Array.from({LAB}.input())")]
    for _ in range(2):
        page.locator("[data-do=noise]").click()
        settle(page)
        found.append(page.evaluate(f"Array.from({LAB}.input())"))
    assert 10 < np.std(np.subtract(found[1], found[0])) < 25
    assert 10 < np.std(np.subtract(found[2], found[1])) < 40
    open_lab(page, html, page.evaluate(f"{LAB}.link()"))
    assert page.evaluate(f"Array.from({LAB}.input())") == found[2]


@in_check
def test_without_token_mixing_each_patch_votes_alone(html, page):
    """A patch's vote then hangs on its own pixels, so votes of patches in other places don't change."""
    open_lab(page, html, "step=15")
    page.locator("[data-all=tokens]").click()
    settle(page)
    votes = np.reshape(page.evaluate(f"Array.from({LAB}.votes())"), (64, 100))
    assert np.abs(votes.mean(0) - logits(page)).max() <= TOLERANCE
    assert page.locator(".ml-off-note").inner_text()
    shown = page.locator(".ml-key li").all_inner_texts()
    assert sum(int(re.search(r"(\d+)$", text)[1]) for text in shown) == 64


@in_check
def test_the_occlusion_map_is_the_loss_of_a_logit_patch_by_patch(html, page):
    open_lab(page, html, "over=occlusion&class=66")
    page.wait_for_function(f"[...{LAB}.cache.keys()].some(key => key.startsWith('occlusion'))")
    found = page.evaluate(f"Array.from([...{LAB}.cache].find(([key]) => key.startsWith('occlusion'))[1])")
    model, _ = mixer_lib.load_pretrained("article")
    image = np.reshape(page.evaluate(f"Array.from({LAB}.source())"), (32, 32, 3))
    grey = np.rint(np.ravel(model.get_layer("normalize").get_weights()[0]))
    covered = np.repeat(image[None], 64, 0)
    for k in range(64):
        top, left = 4 * (k // 8), 4 * (k % 8)
        covered[k, top : top + 4, left : left + 4] = grey
    answers = np.asarray(model(np.concatenate([image[None], covered])))[:, 66]
    assert np.abs(answers[0] - answers[1:] - found).max() <= 2 * TOLERANCE


def png_head(width, height):
    """The head of a PNG that claims a size, without its pixels."""
    head = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + head + zlib.crc32(head).to_bytes(4, "big")


def choose_file(page, path):
    page.locator(".ml-file").set_input_files(str(path))
    page.wait_for_function(f"{LAB}.$('.ml-status').textContent === '' ")


@in_check
def test_a_picture_of_ones_own_is_read_as_predict_reads_it(html, page, tmp_path):
    """A turned photograph, one with transparent parts, a large one."""
    open_lab(page, html)
    draw = np.random.default_rng(0)
    turned, clear, large = tmp_path / "turned.png", tmp_path / "clear.png", tmp_path / "large.png"
    few = Image.fromarray(draw.integers(0, 256, (6, 9, 3)).astype("uint8"))
    smooth = few.resize((450, 300), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    smooth.save(turned.with_suffix(".jpg"), quality=98, exif=exif)
    see_through = smooth.convert("RGBA")
    see_through.paste((0, 0, 0, 0), (0, 0, 200, 120))
    see_through.save(clear)
    smooth.resize((4100, 3000)).save(large)
    for file in (turned.with_suffix(".jpg"), clear, large):
        version = page.evaluate(f"{LAB}.version ?? 0")
        page.locator(".ml-file").set_input_files(str(file))
        page.wait_for_function(f"{LAB}.version === {version + 1}")
        settle(page)
        seen = np.reshape(page.evaluate(f"Array.from({LAB}.source())"), (32, 32, 3))
        assert np.abs(seen - read_picture(file, 32)).max() <= 2, file.name
        assert ("became white" in page.locator(".ml-own .ml-alert").inner_text()) == (file == clear)
    page.locator("[data-do=copy]").click()
    assert "own" not in page.locator(".ml-link").input_value()
    assert "stays with you" in page.locator(".ml-status").inner_text()
    assert from_the_network(page.requests) == []


@in_check
def test_what_is_no_picture_is_refused_with_a_sentence_and_the_last_state_stays(html, page, tmp_path):
    open_lab(page, html, "picture=rocket")
    before = top_five(page)
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    (tmp_path / "huge.png").write_bytes(png_head(10_000, 10_001))
    (tmp_path / "empty.png").write_bytes(b"")
    expected = {
        "moving.gif": "Save one of its frames",
        "text.jpg": "Choose a PNG, JPEG or WebP",
        "empty.png": "Choose a PNG",
        "phone.heic": "Export it as JPEG",
        "huge.png": "Make it smaller first",
    }
    for name, sentence in expected.items():
        page.locator(".ml-file").set_input_files(str(tmp_path / name))
        page.locator(".ml-own .ml-alert", has_text=sentence).wait_for()
        assert name in page.locator(".ml-own .ml-alert").inner_text()
        assert top_five(page) == before
    page.locator("[data-picture=sea]").click()
    page.wait_for_function(f"{LAB}.state.picture === 'sea'")
    assert page.locator(".ml-own .ml-alert").inner_text() == ""


@in_check
def test_a_drawing_made_with_the_keyboard_is_answered_and_kept_in_the_link(html, page):
    open_lab(page, html)
    page.locator("[data-do=draw]").click()
    page.locator(".ml-brush").select_option("4")
    page.locator("[data-grid=paint]").focus()
    for key in ("Space", "ArrowRight", "ArrowRight", "Space"):
        page.keyboard.press(key)
    settle(page)
    red = page.evaluate(f"{LAB}.paint.filter(colour => colour === 3).length")
    assert red == 4 * 6
    answer = logits(page)
    page.wait_for_function("location.hash.includes('draw.')")
    page.reload()
    page.locator(".mixer-lab[data-ready=all]").wait_for()
    settle(page)
    assert np.abs(logits(page) - answer).max() == 0


@in_check
def test_things_move_only_for_readers_who_do_not_mind(html, page):
    open_lab(page, html)
    page.emulate_media(reduced_motion="reduce")
    page.locator("[data-step='1']").click()
    settle(page)
    assert page.locator(".ml-fly").count() == 0
    assert page.evaluate("getComputedStyle(document.querySelector('.ml-bar i')).transitionDuration") == "0s"
    page.emulate_media(reduced_motion="no-preference")
    page.locator("[data-step='0']").click()
    settle(page)
    page.evaluate(WATCH_FLIGHT)
    page.locator("[data-step='1']").click()
    assert page.evaluate("window.flew")
    page.locator(".ml-fly").wait_for(state="detached")


@in_check
def test_play_goes_through_the_steps_and_can_be_paused(html, page):
    open_lab(page, html)
    page.locator("[data-do=play]").click()
    page.wait_for_function(f"{LAB}.state.step === 1")
    page.locator("[data-do=play]").click()
    assert page.locator("[data-do=play]").get_attribute("aria-label") == "Play all steps"
    assert page.evaluate(f"{LAB}.playing") == 0


@in_check
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_has_its_part_below_its_figure_and_loads_it_when_it_comes_near(html, page, chapter):
    page.goto((html / f"notebooks/{chapter}.html").as_uri())
    lab = page.locator(".mixer-lab")
    assert lab.count() == 1 and lab.get_attribute("data-part") == CHAPTERS[chapter]
    assert not any("weights-" in url for url in page.requests)
    assert page.evaluate("!!document.querySelector('.mixer-lab').parentElement.closest('article, section')")
    lab.scroll_into_view_if_needed()
    page.locator(".mixer-lab[data-ready=all]").wait_for()
    settle(page)
    page.add_script_tag(content=AXE)
    assert page.evaluate(CHECK) == {"light": [], "dark": []}
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate(OVERFLOW) == []
    page.emulate_media(media="print")
    assert not lab.is_visible()
    assert page.errors == [] and from_the_network(page.requests) == []
    assert "#" not in page.url


def test_notebooks_hold_nothing_of_the_live_parts():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert "mixer-lab" not in path.read_text(encoding="utf-8"), path.name


@in_check
def test_the_code_can_be_read_beside_the_librarys(html, page):
    open_lab(page, html)
    page.locator(".ml-code summary").click()
    text = page.locator(".ml-code").inner_text()
    assert "function tokenMixing" in text and "class MixerBlock" in text


@in_check
def test_links_of_things_to_try_set_the_lab(html, page):
    open_lab(page, html)
    links = page.locator("a.ml-try").all()
    assert len(links) >= 6
    for link in links:
        state = dict(part.split("=") for part in link.get_attribute("data-lab").split("&"))
        link.click()
        page.wait_for_function(f"{LAB}.state.picture === {json.dumps(state['picture'])}")
        found = page.evaluate(f"{LAB}.state")
        assert {key: str(found[key]) for key in state} == state


@in_check
def test_a_missing_file_beside_the_page_is_said(html, page, tmp_path):
    shutil.copytree(html / "live", tmp_path / "live")
    (tmp_path / "live" / "weights-article.js").unlink()
    scripts = "".join(f"<script defer src='live/{name}'></script>" for name in live.SCRIPTS)
    body = "<div class='mixer-lab' data-part='all'></div>"
    (tmp_path / "x.html").write_text(f"<!doctype html><title>x</title>{body}{scripts}")
    page.goto((tmp_path / "x.html").as_uri())
    alert = page.locator("[role=alert]", has_text="weights-article.js")
    alert.wait_for()
    assert "make book" in alert.inner_text()
