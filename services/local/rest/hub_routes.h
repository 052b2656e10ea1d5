// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/rest_codec.h"
#include "services/core/result.h"
#include "services/local/objects/object_store.h"
#include "services/local/server/router.h"

#include <filesystem>
#include <string>
#include <vector>

namespace desk::local {

/// The tokenizer files of the models, shaped like the hub that transformers asks (tinker-0.38.md
/// section 18): with HF_ENDPOINT=<url>/hf in their environment clients load a model's tokenizer
/// from here. No key, only configuration and tokenizer files, no weights.
/// THREAD: the server's; files are small.
class HubRoutes
{
public:
    explicit HubRoutes(ObjectStore& store);
    HubRoutes(const HubRoutes&) = delete;
    HubRoutes& operator=(const HubRoutes&) = delete;

    void addRoutes(Router& router);

private:
    struct Repository
    {
        std::string name;
        std::filesystem::path folder;
        std::string revision; ///< 40 hexadecimal digits over the files
        std::vector<HubFile> files;
    };
    [[nodiscard]] Result<Repository> repository(const std::string& name) const;
    void describe(const HttpRequest& request, const Responder& responder) const;
    void resolve(const HttpRequest& request, const Responder& responder) const;

    ObjectStore& m_store;
};

} // namespace desk::local
