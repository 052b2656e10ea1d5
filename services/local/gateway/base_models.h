// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/local/engine/inference_model.h"
#include "services/local/objects/object_store.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace desk::local {

struct BaseModel
{
    std::string id;
    std::uint64_t parameters = 0;
    std::uint64_t vocabSize = 0;
};

/// Facts that a base model's row shows and that what is promoted from it inherits.
void describeBaseModel(Model& model, const FolderInfo& facts);

/// Unpacks the built-in desk-tiny where it is not there yet, and lists it and the given Hugging
/// Face folders as base models; desk-tiny comes first. Refused, naming the folder and the reason,
/// for one that the engine cannot run. `alsoKept`: ids of base models that others have listed.
[[nodiscard]] Result<std::vector<BaseModel>> offerBaseModels(ObjectStore& store,
    const std::vector<std::filesystem::path>& folders,
    const std::vector<std::string>& alsoKept = {});

} // namespace desk::local
