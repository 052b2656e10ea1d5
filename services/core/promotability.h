// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/records.h"

#include <string>
#include <string_view>

namespace desk {

/// What a checkpoint may become (reference/saving-and-loading.md, "Checkpoint kinds").
struct Promotability
{
    bool isPromotable = false;
    bool isResumable = false;
    bool isServable = false; ///< may be hot-loaded: alone, or (a delta) onto its parent
    std::string modelKind; ///< of the promoted model: HF_BASE_MODEL, HF_PEFT_ADDON; empty: none
    std::string reason; ///< one clause in words, why it may or may not be promoted; never empty
};

/// What a save leaves behind: `kind` is state, base, delta or merged (the LoRA adapter merged into
/// the base). A LoRA run saves its whole adapter whatever the sampler kind is called. Unrecognized
/// for a kind that is not in the table, and for a merge without an adapter.
[[nodiscard]] CheckpointType savedAs(std::string_view kind, bool isLora) noexcept;

/// The matrix alone: what a row of this type may become.
[[nodiscard]] Promotability promotabilityOf(CheckpointType type);

/// The row's: its `promotable` flag is authoritative, the type gives the words. Pure.
[[nodiscard]] Promotability promotabilityOf(const Checkpoint& checkpoint);

} // namespace desk
