// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

// What the product brings with it, embedded in the binary (resources/starter; how it was made is in
// resources/starter/RECIPE.md). Library desk::starter, Qt-free; any thread; views live for ever.

namespace desk {

struct StarterFile
{
    std::string_view name; ///< file name inside the model folder, e.g. "model.safetensors"
    std::string_view bytes;
};

/// Hugging Face folder of `desk-tiny`: config.json, generation_config.json, model.safetensors,
/// tokenizer.json, tokenizer_config.json.
[[nodiscard]] std::span<const StarterFile> starterModelFiles() noexcept;

/// The text that `train --sample` trains on: short support-desk dialogues, UTF-8, separated by
/// blank lines.
[[nodiscard]] std::string_view starterSampleText() noexcept;

/// Held-out dialogues of the same kind for `eval/loss`.
[[nodiscard]] std::string_view starterSampleEvalText() noexcept;

/// metrics.jsonl of a recorded `desk-tiny` run for the curve labelled DEMO: one JSON object per
/// line with `step`, `train/loss`, `eval/loss` (some lines), `optim/lr`, `optim/grad_norm`.
[[nodiscard]] std::string_view starterDemoLedger() noexcept;

} // namespace desk
