// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace desk {

/// What the files of a LoRA adapter (PEFT layout) say about a base model's files. An adapter whose
/// names miss the base is accepted by servers and has no effect at all.
struct AdapterReport
{
    /// A whole tensor of the adapter whose shape is not that of the base.
    struct ShapeClash
    {
        std::string tensor;
        std::vector<std::uint64_t> adapter;
        std::vector<std::uint64_t> base;
        bool operator==(const ShapeClash&) const = default;
    };
    int moduleCount = 0; ///< pairs of lora_A and lora_B
    int matchingCount = 0; ///< of these, modules that the base has
    std::string exampleAdapter; ///< a module that misses, and the base's nearest name
    std::string exampleBase;
    bool isZero = false; ///< every lora_B is zero: it changes nothing
    std::vector<ShapeClash> clashes;
    std::string namedBase; ///< base_model_name_or_path; empty: not told
    bool operator==(const AdapterReport&) const = default;
};

/// Reads headers, and the lora_B tensors up to the first that is not zero. `adapter`: its folder;
/// `base`: a folder or a .safetensors file. Errors: Unreadable and Malformed with the file's name.
/// BLOCKS. THREAD: any.
[[nodiscard]] Result<AdapterReport> inspectAdapter(
    const std::filesystem::path& adapter, const std::filesystem::path& base);

/// "152x8"
[[nodiscard]] std::string dimensionsText(const std::vector<std::uint64_t>& shape);

} // namespace desk
