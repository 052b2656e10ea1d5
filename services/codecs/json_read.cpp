// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/json_read.h"

#include <charconv>
#include <cmath>
#include <limits>

namespace desk {
namespace {

    constexpr std::size_t kMaxText = std::size_t { 64 } << 10;
    constexpr std::size_t kMaxName = 1024;

    template <class T>
    std::optional<T> parsedNumber(const std::string& text)
    {
        T value {};
        const char* end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, value);
        if (error != std::errc() || stop != end || text.empty())
            return std::nullopt;
        return value;
    }

} // namespace

Error malformed(std::string message)
{
    return { Error::Code::Malformed, std::move(message), "Nothing was taken from it", {}, {} };
}

Result<Json> parseObject(std::string_view text, std::string_view what, const JsonLimits& limits)
{
    if (const auto bounds = checkJsonBounds(text, limits); !bounds)
        return bounds.error();
    auto value = Json::parse(text, nullptr, false);
    if (value.is_discarded())
        return malformed("The " + std::string(what) + " is not JSON");
    if (!value.is_object())
        return malformed("The " + std::string(what) + " is not a JSON object");
    return value;
}

std::string toText(const Json& value, int indent)
{
    return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

const Json* findField(const Json& object, JsonKeys keys)
{
    if (!object.is_object())
        return nullptr;
    for (const char* key : keys) {
        const auto found = object.find(key);
        if (found != object.end() && !found->is_null())
            return &*found;
    }
    return nullptr;
}

std::string readText(const Json& object, JsonKeys keys)
{
    const auto* field = findField(object, keys);
    if (field == nullptr || !field->is_string())
        return {};
    return field->get_ref<const std::string&>().substr(0, kMaxText);
}

std::optional<std::int64_t> readInt(const Json& object, JsonKeys keys)
{
    const auto* field = findField(object, keys);
    if (field == nullptr)
        return std::nullopt;
    if (field->is_string())
        return parsedNumber<std::int64_t>(field->get_ref<const std::string&>());
    if (field->is_number_unsigned()) {
        const auto value = field->get<std::uint64_t>();
        if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
            return std::nullopt;
        return static_cast<std::int64_t>(value);
    }
    if (field->is_number_integer())
        return field->get<std::int64_t>();
    if (!field->is_number_float())
        return std::nullopt;
    const double value = field->get<double>();
    // 2^53: beyond it a double does not say which integer was meant.
    if (!(std::abs(value) <= 9007199254740992.0) || value != std::floor(value))
        return std::nullopt;
    return static_cast<std::int64_t>(value);
}

std::optional<std::uint64_t> readSize(const Json& object, JsonKeys keys)
{
    const auto value = readInt(object, keys);
    if (!value || *value < 0)
        return std::nullopt;
    return static_cast<std::uint64_t>(*value);
}

std::optional<int> readSmallInt(const Json& object, JsonKeys keys)
{
    const auto value = readInt(object, keys);
    if (!value || *value < std::numeric_limits<int>::min()
        || *value > std::numeric_limits<int>::max())
        return std::nullopt;
    return static_cast<int>(*value);
}

std::optional<double> readNumber(const Json& object, JsonKeys keys)
{
    const auto* field = findField(object, keys);
    std::optional<double> value;
    if (field != nullptr && field->is_number())
        value = field->get<double>();
    else if (field != nullptr && field->is_string())
        value = parsedNumber<double>(field->get_ref<const std::string&>());
    if (value && !std::isfinite(*value))
        return std::nullopt;
    return value;
}

bool readBool(const Json& object, JsonKeys keys, bool fallback)
{
    const auto* field = findField(object, keys);
    return field != nullptr && field->is_boolean() ? field->get<bool>() : fallback;
}

std::optional<Time> readTime(const Json& object, JsonKeys keys)
{
    return parseRfc3339(readText(object, keys));
}

std::vector<std::string> readTexts(const Json& object, JsonKeys keys)
{
    std::vector<std::string> texts;
    const auto* field = findField(object, keys);
    if (field == nullptr || !field->is_array())
        return texts;
    for (const auto& element : *field) {
        if (element.is_string())
            texts.push_back(element.get_ref<const std::string&>().substr(0, kMaxText));
    }
    return texts;
}

std::map<std::string, std::string> readTextMap(const Json& object, JsonKeys keys)
{
    std::map<std::string, std::string> texts;
    const auto* field = findField(object, keys);
    if (field == nullptr || !field->is_object())
        return texts;
    for (const auto& [key, value] : field->items()) {
        if (value.is_string())
            texts[key] = value.get_ref<const std::string&>().substr(0, kMaxText);
    }
    return texts;
}

std::map<std::string, double> readNumberMap(const Json& object, JsonKeys keys)
{
    std::map<std::string, double> numbers;
    const auto* field = findField(object, keys);
    if (field == nullptr || !field->is_object())
        return numbers;
    for (const auto& [key, value] : field->items()) {
        if (value.is_number() && std::isfinite(value.get<double>()))
            numbers[key] = value.get<double>();
    }
    return numbers;
}

Result<std::string> requireName(const Json& object, JsonKeys keys, std::string_view what)
{
    const auto* field = findField(object, keys);
    if (field == nullptr || !field->is_string() || field->get_ref<const std::string&>().empty())
        return malformed("The " + std::string(what) + " has no " + *keys.begin());
    const auto& name = field->get_ref<const std::string&>();
    if (name.size() > kMaxName)
        return malformed("The " + std::string(what) + " has a " + *keys.begin() + " of "
            + std::to_string(name.size()) + " bytes");
    for (const char c : name) {
        if (static_cast<unsigned char>(c) < 0x20U || c == 0x7F)
            return malformed(
                "The " + std::string(what) + " has a control character in its " + *keys.begin());
    }
    return name;
}

void putText(Json& object, const char* key, const std::string& value)
{
    if (!value.empty())
        object[key] = value;
}

void putTime(Json& object, const char* key, const std::optional<Time>& value)
{
    if (value)
        object[key] = toRfc3339(*value);
}

} // namespace desk
