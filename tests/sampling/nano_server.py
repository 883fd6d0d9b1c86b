"""A stand-in for `vllm serve` on the loopback interface, over the engine that stands in for vLLM.

Paths, bodies and answers are those of vllm 0.31, entrypoints/: openai/completion/protocol.py,
openai/models/serving.py, serve/lora/api_router.py, serve/instrumentator/basic.py,
serve/exception_handling/handlers/http.py.
"""

import json
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tinyzero.sampling.vllm.engine import HandedOver, SampleSpec

# Fields of CompletionRequest that a request of ours may have, with vllm 0.31's types.
FIELDS = {
    "model": str, "prompt": list, "add_special_tokens": bool, "n": int, "seed": int, "max_tokens": int,
    "temperature": (int, float), "top_p": float, "top_k": int, "min_p": float, "presence_penalty": float,
    "frequency_penalty": float, "repetition_penalty": float, "watermarking": bool, "ignore_eos": bool,
    "stop_token_ids": list, "logprobs": int, "return_token_ids": bool, "skip_special_tokens": bool,
    "stream": bool,
}  # fmt: skip


class NanoServer:
    """What the handler answers from.

    Attributes:
        faults: names of what it does wrong. requests: method, path and body of everything that was asked.
        fail_next: statuses to answer the next requests with, in place of an answer.
    """

    def __init__(self, engine, *, model="/elsewhere/models/tiny", version="0.31.0", faults=(), key=None):
        self.engine, self.model, self.version = engine, model, version
        self.faults, self.key = set(faults), key
        self.requests, self.fail_next, self.loras = [], [], {}
        self.lock = threading.Lock()
        self.released = threading.Event()

    def answer(self, method, path, body, headers):
        """Status, and the answer's body."""
        self.requests.append((method, path, body))
        if self.fail_next:
            return self.fail_next.pop(0), error("trouble", 500)
        if (
            self.key is not None
            and path.startswith("/v1")
            and headers["Authorization"] != f"Bearer {self.key}"
        ):
            return 401, {"error": "Unauthorized"}
        if "hangs" in self.faults and path == "/v1/completions":
            self.released.wait(20)
        name = {"/version": "say_version"}.get(path, path.removeprefix("/v1").strip("/"))
        if name.endswith("lora_adapter") and "no runtime lora" in self.faults:
            return 404, error("Not Found", 404)
        return getattr(self, name)(body)

    def health(self, _):
        return 200, None

    def say_version(self, _):
        return 200, {"version": self.version}

    def models(self, _):
        card = {
            "id": self.model,
            "root": self.model,
            "parent": None,
            "max_model_len": self.engine.context_tokens,
        }
        loras = [{"id": name, "root": path, "parent": self.model} for name, path in self.loras.items()]
        return 200, {"object": "list", "data": [card, *loras]}

    def load_lora_adapter(self, body):
        name, path = body["lora_name"], Path(body["lora_path"])
        if name in self.loras:
            return 400, error(f"The lora adapter '{name}' has already been loaded. If you want to ...", 400)
        if "rank too small" in self.faults:
            return 500, error("LoRA rank 4 is greater than max_lora_rank 1.", 500)
        if not (path / "adapter_config.json").is_file():
            return 404, error(f"Loading lora {name} failed: No adapter found for <path>", 404)
        self.loras[name] = str(path)
        self.engine.load(HandedOver(name=name, number=len(self.engine.calls), folder=path))
        return 200, f"Success: LoRA adapter '{name}' added successfully."

    def unload_lora_adapter(self, body):
        name = body["lora_name"]
        if name not in self.loras:
            return 404, error(f"The lora adapter '{name}' cannot be found.", 404)
        del self.loras[name]
        self.engine.unload(self.engine.served[name])
        return 200, f"Success: LoRA adapter '{name}' removed successfully."

    def completions(self, body):
        assert all(isinstance(value, FIELDS[name]) for name, value in body.items()), body
        if body["model"] != self.model and body["model"] not in self.loras:
            return 404, error(f"The model `{body['model']}` does not exist.", 404)
        assert (body["n"], body["top_p"], body["top_k"], body["ignore_eos"]) == (1, 1.0, 0, True)
        asked = SampleSpec(prompt_ids=tuple(body["prompt"]), seed=body["seed"], max_tokens=body["max_tokens"])
        adapter = self.engine.served.get(body["model"])
        with self.lock:
            (drawn,) = self.engine.generate(
                [asked], adapter=adapter, temperature=body["temperature"], stop_ids=body["stop_token_ids"]
            )
        prompt = [1, *body["prompt"]] if "adds a token" in self.faults else body["prompt"]
        choice = {
            "index": 0,
            "text": "",
            "finish_reason": "stop" if drawn.token_ids[-1] in body["stop_token_ids"] else "length",
            "token_ids": list(drawn.token_ids),
            "prompt_token_ids": prompt,
            "logprobs": {"token_logprobs": list(drawn.logprobs), "tokens": [], "text_offset": []},
        }
        return 200, {"object": "text_completion", "model": body["model"], "choices": [choice]}


def error(message, code):
    return {"error": {"message": message, "type": "NotFoundError", "param": None, "code": code}}


@contextmanager
def serving(nano):
    """The address of a server on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.reply("GET", None)

        def do_POST(self):
            assert self.headers["Content-Type"] == "application/json"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.reply("POST", body)

        def reply(self, method, body):
            status, answer = nano.answer(method, self.path, body, self.headers)
            content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/version")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

        def handle(self):
            with suppress(ConnectionError):  # the other side gave up
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        nano.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
