// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/ready_codec.h"

#include "services/codecs/json_read.h"

namespace desk {

std::string encodeReadyLine(const ReadyLine& ready)
{
    Json models = Json::array();
    for (const ReadyModel& model : ready.models)
        models.push_back({ { "id", model.id }, { "name", model.name },
            { "parameters", model.parameters }, { "vocab_size", model.vocabSize } });
    Json out;
    out["url"] = ready.url;
    out["account"] = ready.account;
    out["key_file"] = ready.keyFile;
    out["base_model"] = ready.baseModel;
    out["vocab_size"] = ready.vocabSize;
    out["models"] = std::move(models);
    out["pid"] = ready.pid;
    out["version"] = ready.version;
    return toText(out);
}

Result<ReadyLine> decodeReadyLine(std::string_view text)
{
    const auto object = parseObject(text, "ready line", JsonLimits { std::size_t { 1 } << 20 });
    if (!object)
        return object.error();
    ReadyLine ready;
    const auto url = requireName(*object, { "url" }, "url of the ready line");
    if (!url)
        return url.error();
    const auto account = requireName(*object, { "account" }, "account of the ready line");
    if (!account)
        return account.error();
    ready.url = *url;
    ready.account = *account;
    ready.keyFile = readText(*object, { "key_file" });
    ready.baseModel = readText(*object, { "base_model" });
    ready.vocabSize = readSize(*object, { "vocab_size" }).value_or(0);
    ready.pid = readInt(*object, { "pid" }).value_or(0);
    ready.version = readText(*object, { "version" });
    if (ready.keyFile.empty() || ready.pid <= 0)
        return malformed("the ready line names no key file or no process");
    if (const Json* models = findField(*object, { "models" }); models && models->is_array()) {
        for (const Json& model : *models) {
            ReadyModel row { readText(model, { "id" }), readText(model, { "name" }),
                readSize(model, { "parameters" }).value_or(0),
                readSize(model, { "vocab_size" }).value_or(0) };
            if (!row.name.empty())
                ready.models.push_back(std::move(row));
        }
    }
    return ready;
}

} // namespace desk
