// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/json_text.h"
#include "services/core/clock.h"
#include "services/core/result.h"

#include <cstdint>
#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Tolerant reading of JSON objects, for the codecs only. A key that is absent, null or of a type
// that cannot be meant reads as "not given". Several keys are spellings of one field: the first
// that is present counts. THREAD: any.

namespace desk {

/// Keeps the order of keys, so that a request reads as the specification's example does.
using Json = nlohmann::ordered_json;
using JsonKeys = std::initializer_list<const char*>;

/// An object within the limits, else Malformed; `what` names it in the message: "trainer job".
[[nodiscard]] Result<Json> parseObject(
    std::string_view text, std::string_view what, const JsonLimits& limits = {});
/// Compact text; invalid UTF-8 becomes U+FFFD.
[[nodiscard]] std::string toText(const Json& value, int indent = -1);
/// Replaces secrets in place (json_text.h).
void redact(Json& value);

[[nodiscard]] Error malformed(std::string message);

/// nullptr if absent, null, or `object` is no object.
[[nodiscard]] const Json* findField(const Json& object, JsonKeys keys);
/// Strings only; at most 64 KiB.
[[nodiscard]] std::string readText(const Json& object, JsonKeys keys);
/// Integers, integral numbers, and digits in a string (proto3 JSON writes int64 as text).
[[nodiscard]] std::optional<std::int64_t> readInt(const Json& object, JsonKeys keys);
[[nodiscard]] std::optional<std::uint64_t> readSize(const Json& object, JsonKeys keys);
[[nodiscard]] std::optional<int> readSmallInt(const Json& object, JsonKeys keys);
[[nodiscard]] std::optional<double> readNumber(const Json& object, JsonKeys keys);
[[nodiscard]] bool readBool(const Json& object, JsonKeys keys, bool fallback);
[[nodiscard]] std::optional<Time> readTime(const Json& object, JsonKeys keys);
[[nodiscard]] std::vector<std::string> readTexts(const Json& object, JsonKeys keys);
[[nodiscard]] std::map<std::string, std::string> readTextMap(const Json& object, JsonKeys keys);
/// Finite numbers only; others are left out.
[[nodiscard]] std::map<std::string, double> readNumberMap(const Json& object, JsonKeys keys);
/// Non-empty text without control characters, at most 1,024 bytes; Malformed names `what`.
[[nodiscard]] Result<std::string> requireName(
    const Json& object, JsonKeys keys, std::string_view what);

/// Writes only what is known: empty texts and nullopt leave the object as it is.
void putText(Json& object, const char* key, const std::string& value);
void putTime(Json& object, const char* key, const std::optional<Time>& value);
template <class T>
void putKnown(Json& object, const char* key, const std::optional<T>& value)
{
    if (value)
        object[key] = *value;
}

} // namespace desk
