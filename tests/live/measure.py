"""Print what the live page weighs and how long it takes, in Chromium and Node; give it the machine to itself.

python tests/live/measure.py [HTML]    the folder of the rendered book, _build/committed/html by default
"""

import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from playwright.sync_api import sync_playwright  # noqa: E402

from tools.render.pdf import find_browser  # noqa: E402

LAB = "document.querySelector('.mixer-lab').mixerLab"
FORWARD = f"""(() => {{ const times = [], model = {LAB}.model(), x = {LAB}.input();
  for (let i = 0; i < 25; i++) {{
    const t = performance.now(); Mixer.forward(model, x); times.push(performance.now() - t); }}
  return times.slice(5); }})()"""
# a change of a slider until both models' answers are drawn
CHANGE = f"""(async () => {{ const times = [];
  for (let i = 0; i < 12; i++) {{
    const t = performance.now(); {LAB}.set({{ right: i % 8, noise: 5 * (i % 3) }});
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    times.push(performance.now() - t); }}
  return times.slice(2); }})()"""
OCCLUSION = f"""(async () => {{ {LAB}.set({{ right: 0, noise: 0, over: 'none' }}); const t = performance.now();
  {LAB}.set({{ over: 'occlusion' }});
  while (![...{LAB}.cache.keys()].some(key => key.startsWith('occlusion')))
    await new Promise(done => setTimeout(done, 5));
  return [performance.now() - t]; }})()"""

MEASURED = {"forward pass": FORWARD, "change to answers": CHANGE, "occlusion map": OCCLUSION}


def main(html):
    html = html.resolve()
    files = sorted((html / "live").iterdir())
    for file in files:
        print(f"{file.name:28} {file.stat().st_size:>9,} bytes")
    print(f"{'in all':28} {sum(file.stat().st_size for file in files):>9,} bytes")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), chromium_sandbox=False)
        for slower in (1, 4):
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slower})
            page.goto((html / "book" / "at_work.html").as_uri())
            page.locator(".mixer-lab[data-ready=all]").wait_for(timeout=120_000)
            for name, script in (
                ("forward pass", FORWARD),
                ("change to answers", CHANGE),
                ("occlusion map", OCCLUSION),
            ):
                times = page.evaluate(script)
                print(
                    f"CPU 1/{slower}  {name:18} median {statistics.median(times):7.1f} ms  largest {max(times):7.1f} ms"
                )
            page.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "_build" / "committed" / "html")
