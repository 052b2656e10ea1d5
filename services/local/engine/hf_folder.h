// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/delta/safetensors.h"
#include "services/local/engine/model_config.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace desk::local {

/// Files of a model folder beside its weights, name to bytes; they are carried over to exports.
using SideFiles = std::map<std::string, std::string>;

struct LoadedFolder
{
    ModelConfig config;
    std::vector<float> weights; ///< flat, layout of tensorSpecs
    SideFiles sideFiles; ///< config.json only if it describes BF16 weights
};

/// Reads a Hugging Face folder: model.safetensors or the shards of its index; BF16, F16 or F32.
[[nodiscard]] Result<LoadedFolder> loadFolder(const std::filesystem::path& folder);
/// The same checks on config.json and the headers of the weights, without reading them; also the
/// bytes of all tensors.
[[nodiscard]] Result<std::pair<ModelConfig, std::uint64_t>> checkFolder(
    const std::filesystem::path& folder);

/// Writes weights as BF16 with the side files; config.json and generation_config.json are made
/// when they are not among them. Beside the target, flushed, read back and compared, renamed.
[[nodiscard]] Status writeFolder(const std::filesystem::path& folder, const ModelConfig& config,
    std::span<const float> weights, const SideFiles& sideFiles);

/// tokenizer.json and tokenizer_config.json of a byte-level model with vocab_size >= 256.
[[nodiscard]] SideFiles byteTokenizerFiles(const ModelConfig& config);

/// A BF16, F16 or F32 tensor as floats.
[[nodiscard]] Status readWeights(
    const SafetensorsFile& file, const TensorInfo& info, std::span<float> out);
/// A small file, flushed.
[[nodiscard]] Status writeTextFile(const std::filesystem::path& file, const std::string& text);
/// Unreadable when the file reads back differently from what was written.
[[nodiscard]] Status verifyTensors(
    const std::filesystem::path& file, std::span<const TensorView> tensors);

/// At most maxBytes of a regular file; Malformed when it is longer.
[[nodiscard]] Result<std::string> readTextFile(
    const std::filesystem::path& file, std::uint64_t maxBytes);

} // namespace desk::local
