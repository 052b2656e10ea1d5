# SPDX-License-Identifier: GPL-3.0-or-later
"""A LoRA run as tinker's documentation writes it, tokenizer included. Its mistakes: no state is saved, and the weights
were saved for this session only."""

import tinker
from tinker import types

MODEL = "Qwen/Qwen3-8B"

service = tinker.ServiceClient()
client = service.create_lora_training_client(base_model=MODEL, rank=8)
tokenizer = client.get_tokenizer()


def datum(text):
    tokens = tokenizer.encode(text)
    return types.Datum(
        model_input=types.ModelInput.from_ints(tokens[:-1]),
        loss_fn_inputs={"target_tokens": tokens[1:], "weights": [1.0] * (len(tokens) - 1)},
    )


data = [datum("a rehearsal costs nothing"), datum("and finds what would have cost something")]
for step in range(4):
    backward = client.forward_backward(data, "cross_entropy")
    update = client.optim_step(types.AdamParams(learning_rate=1e-3))
    print("loss", backward.result().metrics["loss:sum"], flush=True)
    update.result()

sampler = client.save_weights_and_get_sampling_client(name="final")
answer = sampler.sample(prompt=types.ModelInput.from_ints(tokenizer.encode("a rehearsal")), num_samples=2,
                        sampling_params=types.SamplingParams(max_tokens=8, temperature=0.0)).result()
print("sampled", [len(sequence.tokens) for sequence in answer.sequences], flush=True)
