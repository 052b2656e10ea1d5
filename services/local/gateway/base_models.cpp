// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/gateway/base_models.h"

#include "services/core/resource_name.h"
#include "services/core/starter.h"
#include "services/local/engine/inference_model.h"
#include "services/local/objects/files.h"

#include <algorithm>

namespace desk::local {

namespace fs = std::filesystem;

namespace {

    constexpr const char* kStarterId = "desk-tiny";
    constexpr const char* kStarterFolder = "base/desk-tiny";

    Status unpackStarter(const fs::path& folder)
    {
        if (pathExists(folder))
            return done();
        if (auto status = makeFolder(folder.parent_path()); !status)
            return status;
        const auto part = partName(folder);
        const auto unpack = [&]() -> Status {
            if (auto status = makeFolder(part); !status)
                return status;
            for (const auto& file : starterModelFiles())
                if (auto status = writeFileSafely(part / std::string(file.name), file.bytes);
                    !status)
                    return status;
            return done();
        };
        if (auto status = unpack(); !status) {
            removeTree(part);
            return status;
        }
        return publishFolder(part, folder);
    }

    /// An id in the alphabet of model ids, from a folder's name.
    std::string idFromFolder(const fs::path& folder)
    {
        auto name = folder.filename().string();
        if (name.empty())
            name = folder.parent_path().filename().string();
        std::string id;
        for (const char c : name.substr(0, 63)) {
            const bool isUpper = c >= 'A' && c <= 'Z';
            const bool isPlain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
            id += isUpper ? static_cast<char>(c - 'A' + 'a') : isPlain ? c : '-';
        }
        return id;
    }

    Result<BaseModel> offerFolder(
        ObjectStore& store, const std::string& id, const std::string& folder)
    {
        auto facts = inspectFolder(store.absolute(folder));
        if (!facts) {
            auto error = facts.error();
            error.message = "the base model " + store.absolute(folder).string()
                + " cannot be used: " + error.message;
            error.unchanged = "the backend does not serve";
            error.next = "leave out --base-model for this folder";
            return error;
        }
        ModelRow row;
        row.id = id;
        row.folder = folder;
        row.isBase = true;
        row.model.displayName = id;
        row.model.kind = "HF_BASE_MODEL";
        row.model.state = "READY";
        describeBaseModel(row.model, *facts);
        if (auto status = store.addModel(row); !status)
            return status.error();
        return BaseModel { id, facts->parameters,
            static_cast<std::uint64_t>(facts->config.vocabSize) };
    }

} // namespace

void describeBaseModel(Model& model, const FolderInfo& facts)
{
    model.isMoe = false; // the engine runs dense decoders only
    model.parameterCount = static_cast<std::int64_t>(facts.parameters);
    model.contextLength = facts.config.maxPositions;
    model.modelType = "qwen3";
    model.json = R"({"baseModelDetails":{"checkpointFormat":"HUGGINGFACE",)"
                 R"("defaultPrecision":"BF16","worldSize":1,"tunable":true},)"
                 R"("tunable":true,"supportsLora":true,"public":false})";
}

Result<std::vector<BaseModel>> offerBaseModels(ObjectStore& store,
    const std::vector<fs::path>& folders, const std::vector<std::string>& alsoKept)
{
    if (auto status = unpackStarter(store.absolute(kStarterFolder)); !status)
        return status.error();
    std::vector<BaseModel> models;
    std::vector<std::string> ids = alsoKept;
    const auto offer = [&](const std::string& id, const std::string& folder) -> Status {
        auto model = offerFolder(store, id, folder);
        if (!model)
            return model.error();
        models.push_back(*model);
        ids.push_back(id);
        return done();
    };
    if (auto status = offer(kStarterId, kStarterFolder); !status)
        return status.error();
    for (const auto& folder : folders) {
        std::error_code error;
        const auto path = fs::absolute(folder, error);
        const auto id = idFromFolder(path);
        const auto row = store.model(id);
        if (std::find(ids.begin(), ids.end(), id) != ids.end() || (row && !row->isBase))
            return Error { Error::Code::Conflict,
                "the base model " + folder.string() + " would be called " + id
                    + ", and there is a model of that name",
                "the backend does not serve", "rename the folder", {} };
        if (auto status = offer(id, path.string()); !status)
            return status.error();
    }
    if (auto status = store.keepOnlyBaseModels(ids); !status)
        return status.error();
    return models;
}

} // namespace desk::local
