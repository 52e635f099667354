"""The page of `mmkeras label`: a Gradio app on the loopback address, which talks to nobody else."""

import functools
import os
import socket
import threading
import webbrowser

from mmkeras.labeling.queue import LabelingQueue
from mmkeras.labeling.show import RowView

ADDRESS = "127.0.0.1"
_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
)
_KEYS = """<script>
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea")) return;
  const names = { s: "#skip", b: "#back" };
  const buttons = document.querySelectorAll("button.class");
  const button = names[event.key] ? document.querySelector(names[event.key]) : buttons[Number(event.key) - 1];
  if (button) { event.preventDefault(); button.click(); }
});
</script>"""
_STYLE = """
.gradio-container > main { max-width: 60rem !important; margin: auto; }
#row, #row > div { padding: 0; } #row { min-height: 46vh; }
#row .top { display: flex; justify-content: space-between; gap: 1rem; opacity: .75; font-size: .9rem; }
#row progress { width: 100%; height: .4rem; margin: .3rem 0 1rem; appearance: none; border: 0; }
#row progress::-webkit-progress-bar { background: #8883; border-radius: 9px; }
#row progress::-webkit-progress-value { background: #2e7d4f; border-radius: 9px; }
#row progress::-moz-progress-bar { background: #2e7d4f; }
#row .cell { margin-bottom: 1rem; } #row .name { font-size: .8rem; opacity: .65; }
#row img, #row video { max-width: 100%; max-height: 48vh; min-width: min(16rem, 100%); object-fit: contain;
  image-rendering: auto; display: block; border-radius: 4px; }
#row img.small { image-rendering: pixelated; } #row .strip { display: flex; flex-wrap: wrap; gap: 4px; }
#row .strip img { min-width: 0; height: 9rem; } #row audio { width: 100%; }
#row .text { font-size: 1.25rem; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 40vh; overflow: auto; }
#row table, #row tr, #row td { border: 0 !important; font-size: .9rem; } #row td { padding: .15rem 1.2rem .15rem 0; }
#row td:first-child { opacity: .65; } #row .broken { color: #b3261e; } #row .said { margin: .5rem 0; }
.dark #row .broken { color: #ff8a80; }
#skip, #back { white-space: nowrap; } button.class { width: auto; flex: 0 1 auto !important; padding: .5rem 1.2rem; }
"""


class _Guard:
    """Lets only this page speak to the server, and this page speak to no other server.

    Another page in the same browser could otherwise write labels (its requests carry its own origin) or read rows (by
    a name of its own that leads to this address).
    """

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        allowed = host.split(":")[0] in (ADDRESS, "localhost") and origin in (None, f"http://{host}")

        async def send_with_policy(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", _POLICY.encode())]
            await send(message)

        if not allowed:
            await send({"type": "http.response.start", "status": 403, "headers": []})
            return await send({"type": "http.response.body", "body": b"Only the page of `mmkeras label` may ask this."})
        await self.app(scope, receive, send_with_policy)


def import_gradio():
    """Gradio, with its reports to its makers switched off.

    Raises:
        ImportError: when it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio
    except ImportError as error:
        raise ImportError(f"{error}. The page needs: pip install 'mmkeras[label]'") from None
    return gradio


def build_app(queue: LabelingQueue):
    """The page as an ASGI application. Raises ImportError when Gradio is not installed."""
    gr = import_gradio()
    import fastapi

    view = RowView(queue)
    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(_Guard)
    app.get("/media/{row}/{index}")(view.send_media)
    return gr.mount_gradio_app(
        app,
        _lay_out(gr, queue, view),
        path="",
        server_name=ADDRESS,
        footer_links=[],
        ssr_mode=False,
        run_history=False,
        theme=gr.themes.Default(primary_hue="green", font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        css=_STYLE,
        head=_KEYS,
    )


def _lay_out(gr, queue, view):
    """The components. The page holds the number of the row that it shows, and sends it with every click."""

    def answer(step):
        """`step`, which returns a row, as a handler that shows it; what goes wrong becomes a message on the page."""

        def handle(*arguments):
            try:
                row = step(*arguments)
                return row, view.render(row), list(queue.classes), ""
            except (OSError, ValueError) as error:
                raise gr.Error(str(error), duration=None, print_exception=False) from None

        return handle

    def back(row):
        before = queue.back()
        return row if before is None else before

    label = answer(lambda row, name: queue.label(_check_row(row), name))
    skip = answer(lambda row: queue.first() if row is None else queue.skip(int(row)))

    with gr.Blocks(analytics_enabled=False, title=f"mmkeras label: {queue.table.output.name}") as blocks:
        row = gr.Number(visible=False, precision=0)
        card = gr.HTML(elem_id="row")
        classes = gr.State([])
        hint = "another class: type it, then Enter"
        box = gr.Textbox(show_label=False, container=False, max_lines=1, placeholder=hint, render=False)
        shown = [row, card, classes, box]

        @gr.render(classes)
        def show_classes(names):
            with gr.Row():
                for number, name in enumerate(names, 1):
                    text = f"{number}  {name}" if number < 10 else name
                    button = gr.Button(text, key=name, elem_classes="class")
                    choose = functools.partial(lambda name, row: label(row, name), name)
                    button.click(choose, row, shown, api_visibility="private", show_progress="hidden")

        with gr.Row():
            box.render()
            skip_button = gr.Button("Skip (s)", elem_id="skip", min_width=110, scale=0)
            back_button = gr.Button("Back (b)", elem_id="back", min_width=110, scale=0)
        box.submit(label, [row, box], shown, api_name="label", show_progress="hidden")
        skip_button.click(skip, row, shown, api_name="skip", show_progress="hidden")
        back_button.click(answer(back), row, shown, api_name="back", show_progress="hidden")
        blocks.load(answer(queue.first), None, shown, api_name="start", show_progress="hidden")
    return blocks


def _check_row(row):
    if row is None:
        raise ValueError("All rows that were to be shown have a label. `Back` takes the last one back.")
    return int(row)


def serve(queue: LabelingQueue, port: int = 7860, browser: bool = True) -> None:
    """Shows the page until Ctrl-C, on the loopback address only.

    Args:
        queue: the rows to label.
        port: to listen on; 0 for any free one.
        browser: whether to open the page in a browser.

    Raises:
        ImportError, OSError: when Gradio is not installed, or the port is taken.
    """
    app = build_app(queue)
    import uvicorn

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((ADDRESS, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise OSError(
            f"Port {port} cannot be used ({error}). Choose another with --port, or 0 for any free one."
        ) from None
    listener.listen()
    url = f"http://{ADDRESS}:{listener.getsockname()[1]}"
    table = queue.table
    print(f"{queue.labeled_count:,} of {len(table):,} rows have a label, {queue.left_count:,} are to be shown.")
    print(f"Labels go to {table.output} at once. Open {url} and end with Ctrl-C.", flush=True)
    if browser:
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()
    print(f"\nEnded: {queue.labeled_count:,} of {len(table):,} rows have a label, in {table.output}")
