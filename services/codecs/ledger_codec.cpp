// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/ledger_codec.h"

#include "services/codecs/json_read.h"

#include <cmath>

namespace desk {
namespace {

    constexpr double kMaxExampleWeight = 1e6;
    constexpr std::size_t kMaxExample = std::size_t { 4 } << 20;

    Json ledgerNumber(double value)
    {
        if (std::isnan(value))
            return "NaN";
        if (std::isinf(value))
            return value > 0 ? "Infinity" : "-Infinity";
        return value;
    }

    const std::string* textField(const Json& object, const char* key)
    {
        const Json* value = findField(object, { key });
        return value != nullptr && value->is_string() ? value->get_ptr<const std::string*>()
                                                      : nullptr;
    }

    Result<TrainingExample> exampleFromMessages(const Json& messages)
    {
        TrainingExample example;
        for (const Json& message : messages) {
            const std::string* role = textField(message, "role");
            const std::string* content = textField(message, "content");
            if (role == nullptr || content == nullptr)
                return malformed("a message has no text `role` and `content`");
            const bool isAssistant = *role == "assistant";
            example.parts.push_back({ *role + ": ", false });
            example.parts.push_back({ *content + "\n", isAssistant });
        }
        return example;
    }

} // namespace

std::string encodeLedgerRow(const LedgerRow& row)
{
    Json out;
    out["step"] = row.step;
    for (const auto& [name, value] : row.metrics)
        out[name] = ledgerNumber(value);
    out["timestamp"] = toRfc3339(row.at);
    return toText(out);
}

std::optional<std::int64_t> ledgerStepOf(std::string_view line)
{
    const auto object = parseObject(line, "ledger line");
    return object ? readInt(*object, { "step" }) : std::nullopt;
}

Result<TrainingExample> decodeTrainingExample(std::string_view line)
{
    const auto object = parseObject(line, "example", JsonLimits { kMaxExample });
    if (!object)
        return object.error();
    TrainingExample example;
    if (const Json* messages = findField(*object, { "messages" })) {
        if (!messages->is_array())
            return malformed("`messages` is no list");
        auto read = exampleFromMessages(*messages);
        if (!read)
            return read;
        example = *std::move(read);
    } else if (const std::string* completion = textField(*object, "completion")) {
        if (const std::string* prompt = textField(*object, "prompt"))
            example.parts.push_back({ *prompt, false });
        example.parts.push_back({ *completion, true });
    } else if (const std::string* text = textField(*object, "text")) {
        example.parts.push_back({ *text, true });
    } else {
        return malformed("it has neither `prompt` and `completion`, nor `messages`, nor `text`");
    }
    if (const Json* weight = findField(*object, { "weight", "advantage" })) {
        example.weight = weight->is_number() ? weight->get<double>() : std::nan("");
        if (!(std::abs(example.weight) <= kMaxExampleWeight))
            return malformed("its weight is no number from -1000000 to 1000000");
    }
    for (const auto& part : example.parts)
        if (part.isTrained && !part.text.empty())
            return example;
    return malformed("it has no text to train on");
}

} // namespace desk
