// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/engine/inference_model.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace desk::local {

/// One replica's way from a stored snapshot to weights that answer.
struct LoadOrder
{
    std::filesystem::path source; ///< folder of the snapshot in the object store
    std::filesystem::path current; ///< full weights the replica serves; a delta stands on them
    bool isDelta = false;
    /// The snapshot is an adapter on this model; null: it is full weights or a delta.
    std::shared_ptr<const InferenceModel> adapterBase;
    std::filesystem::path work; ///< folder for unfinished files; created, removed at the end
    std::filesystem::path target; ///< weights or adapter under their final name
    bool failsOnPurpose = false; ///< an injected fault
};

struct LoadedWeights
{
    std::shared_ptr<const InferenceModel> model;
    std::filesystem::path folder;
};

/// Downloads (copies) the snapshot, applies a delta to the weights that are served, checks the
/// result and gives it its final name. `enter` hears each stage: downloading, applying, verifying.
/// A failure leaves nothing behind. THREAD: any; blocks.
[[nodiscard]] Result<LoadedWeights> loadReplica(const LoadOrder& order,
    const std::function<void(const char* stage)>& enter, const std::function<bool()>& isCanceled);

/// A peft adapter rather than weights.
[[nodiscard]] bool isAdapterFolder(const std::filesystem::path& folder);

} // namespace desk::local
