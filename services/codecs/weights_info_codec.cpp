// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/weights_info_codec.h"

#include "services/codecs/json_read.h"

namespace desk {

std::string encodeWeightsInfoCall(std::string_view path)
{
    Json body;
    body["tinker_path"] = std::string(path);
    return toText(body);
}

Result<WeightsFacts> decodeWeightsInfoAnswer(std::string_view body)
{
    const auto object = parseObject(body, "answer about the weights");
    if (!object)
        return object.error();
    auto base = requireName(*object, { "base_model" }, "answer about the weights");
    if (!base)
        return base.error();
    WeightsFacts info;
    info.baseModel = *std::move(base);
    info.isLora = readBool(*object, { "is_lora" }, false);
    info.loraRank = readSmallInt(*object, { "lora_rank" }).value_or(0);
    info.trainsUnembed = readBool(*object, { "train_unembed" }, true);
    info.trainsMlp = readBool(*object, { "train_mlp" }, true);
    info.trainsAttention = readBool(*object, { "train_attn" }, true);
    return info;
}

} // namespace desk
