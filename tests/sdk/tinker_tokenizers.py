# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend as a hub: get_tokenizer() without a download from elsewhere."""

import json
import shutil
import tempfile

from harness.suite import check
from harness.tinker import environment, script

SOURCE = """
import json, tinker
from harness.tinker import *
service = tinker.ServiceClient()
base = %r
client = now(service.create_lora_training_client(base_model=base, rank=2))
text = "Hallo Welt, naïve 😀 text\\n"
found = {}
tokenizer = client.get_tokenizer()
found["ids"] = tokenizer.encode(text)
found["text"] = tokenizer.decode(found["ids"])
found["eos"] = tokenizer.eos_token_id
found["size"] = len(tokenizer)
sampler = now(client.save_weights_and_get_sampling_client())
try:
    found["sampler"] = sampler.get_tokenizer().encode(text)
except Exception as error:
    found["sampler_error"] = repr(error)
print(json.dumps(found), flush=True)
"""


def hub_names(t):
    """Names of base models that are names of a hub: at most one slash."""
    models = t.backend.http("GET", "/api/v1/get_server_capabilities").json()["supported_models"]
    return [model["model_name"] for model in models if model["model_name"].count("/") <= 1]


def run(t, base):
    home = tempfile.mkdtemp(prefix="desk-hub-")
    t.cleanup(shutil.rmtree, home, ignore_errors=True)
    process = script(t, SOURCE % base, HF_ENDPOINT=t.backend.url + "/hf", HF_HOME=home, HOME=home,
                     TRANSFORMERS_VERBOSITY="error")
    output, errors = process.communicate(timeout=80)
    t.assertEqual(process.returncode, 0, errors)
    return json.loads(output.splitlines()[-1])


@check("TK21_11", "TK21_13")
def TK21_11_the_training_client_finds_its_tokenizer(t):
    found = run(t, t.backend.base_model)
    text = "Hallo Welt, naïve 😀 text\n"
    t.assertEqual(found["ids"], list(text.encode()))
    t.assertEqual(found["text"], text)
    t.assertEqual(found["size"], t.backend.vocab_size)
    t.assertIn(found["eos"], range(256, t.backend.vocab_size))


def TK21_11_the_sampling_client_finds_it_by_the_model_name(t):
    names = hub_names(t)
    t.assertTrue(names, "no base model has a name that a hub could have")
    found = run(t, names[0])
    t.assertEqual(found.get("sampler"), found["ids"], found)


def TK21_11_hub_routes(t):
    name = (hub_names(t) or [t.backend.base_model])[0]
    model = t.backend.http("GET", f"/hf/api/models/{name}", headers={"X-Api-Key": None})
    t.assertEqual(model.status, 200)
    sha = model.json()["sha"]
    t.assertRegex(sha, r"^[0-9a-f]{40}$")
    files = {row["rfilename"] for row in model.json()["siblings"]}
    t.assertLessEqual({"tokenizer.json", "tokenizer_config.json"}, files)
    tree = t.backend.http("GET", f"/hf/api/models/{name}/tree/main?recursive=True", headers={"X-Api-Key": None})
    t.assertEqual(tree.status, 200)
    t.assertEqual({row["path"] for row in tree.json()}, files)
    for revision in ("main", sha):
        answer = t.backend.http("GET", f"/hf/{name}/resolve/{revision}/tokenizer.json", headers={"X-Api-Key": None})
        t.assertEqual(answer.status, 200)
        t.assertTrue(json.loads(answer.body))
        head = t.backend.http("HEAD", f"/hf/{name}/resolve/{revision}/tokenizer.json", headers={"X-Api-Key": None})
        t.assertEqual((head.status, head.body), (200, b""))
        for reply in (answer, head):
            t.assertEqual(int(reply.headers["Content-Length"]), len(answer.body))
            t.assertTrue(reply.headers["ETag"].startswith('"'))
            t.assertEqual(reply.headers["X-Repo-Commit"], sha)
    missing = t.backend.http("HEAD", f"/hf/{name}/resolve/main/none.json", headers={"X-Api-Key": None})
    t.assertEqual((missing.status, missing.headers["X-Error-Code"]), (404, "EntryNotFound"))
    t.assertEqual(missing.headers["X-Repo-Commit"], sha)
    unknown = t.backend.http("GET", "/hf/api/models/nobody/nothing", headers={"X-Api-Key": None})
    t.assertEqual((unknown.status, unknown.headers["X-Error-Code"]), (404, "RepoNotFound"))
    # No weights without a key, and no way out of the folder.
    for file in ("model.safetensors", "../../key", "..%2f..%2fkey"):
        answer = t.backend.http("GET", f"/hf/{name}/resolve/main/{file}", headers={"X-Api-Key": None})
        t.assertIn(answer.status, (400, 401, 403, 404), file)
