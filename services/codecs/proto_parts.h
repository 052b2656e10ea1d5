// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Private to the codecs of tinker_public: fields, texts, arrays and bounds of hostile messages.

#include "services/codecs/dense_tensor.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <exception>
#include <optional>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace desk::proto {

static_assert(
    std::endian::native == std::endian::little, "arrays of the wire are copied as they are");

using protozero::pbf_reader;
using protozero::pbf_writer;

enum class Dtype : std::int32_t
{
    Unspecified = 0,
    Float32 = 1,
    Int64 = 2,
    Int32 = 3,
    Bfloat16 = 4
};
inline constexpr std::size_t kMaxProtoName = 1'024; // of keys, losses, model ids
inline constexpr std::size_t kMaxProtoEntries = 4'096; // of a map
inline constexpr std::size_t kMaxProtoText = 65'536;

inline constexpr auto kBytes = protozero::pbf_wire_type::length_delimited;
inline constexpr auto kVarint = protozero::pbf_wire_type::varint;
inline constexpr auto kFixed64 = protozero::pbf_wire_type::fixed64;

/// A known number with another wire type is an unknown field; reading it would be undefined.
inline bool isField(
    const pbf_reader& reader, protozero::pbf_tag_type tag, protozero::pbf_wire_type type)
{
    return reader.tag() == tag && reader.wire_type() == type;
}

struct BadText final : protozero::exception
{
    const char* what() const noexcept override { return "a text that is too long or no UTF-8"; }
};

inline bool isUtf8(std::string_view text)
{
    for (std::size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i]);
        const std::size_t length = lead < 0x80    ? 1
            : (lead >> 5U) == 0x06 && lead > 0xC1 ? 2
            : (lead >> 4U) == 0x0E                ? 3
            : (lead >> 3U) == 0x1E && lead < 0xF5 ? 4
                                                  : 0;
        if (length == 0 || i + length > text.size())
            return false;
        std::uint32_t code = length == 1 ? lead : lead & (0xFFU >> (length + 1));
        for (std::size_t k = 1; k < length; ++k) {
            const auto next = static_cast<unsigned char>(text[i + k]);
            if ((next >> 6U) != 0x02)
                return false;
            code = (code << 6U) | (next & 0x3FU);
        }
        const bool isSurrogate = code >= 0xD800 && code <= 0xDFFF;
        const bool isOverlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
        if (isSurrogate || isOverlong || code > 0x10FFFF)
            return false;
        i += length;
    }
    return true;
}

inline std::string protoText(pbf_reader& reader, std::size_t limit)
{
    const auto view = reader.get_view();
    if (view.size() > limit || !isUtf8({ view.data(), view.size() }))
        throw BadText();
    return { view.data(), view.size() };
}

template <class Wire, class T>
Result<std::vector<T>> arrayOf(protozero::data_view bytes, const std::string& what)
{
    if (bytes.size() % sizeof(Wire) != 0)
        return badTensor(what + " has " + std::to_string(bytes.size())
            + " bytes, which is no whole number of elements");
    const auto count = bytes.size() / sizeof(Wire);
    if (count > static_cast<std::size_t>(kMaxTensorElements))
        return badTensor(what + " has more than 16000000 elements");
    std::vector<T> values(count);
    if constexpr (std::is_same_v<Wire, T>) {
        if (count > 0)
            std::memcpy(values.data(), bytes.data(), bytes.size());
    } else {
        for (std::size_t i = 0; i < count; ++i) {
            Wire value {};
            std::memcpy(&value, bytes.data() + i * sizeof(Wire), sizeof(Wire));
            if constexpr (std::is_floating_point_v<T>)
                values[i] = std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
            else
                values[i] = static_cast<T>(value);
        }
    }
    return values;
}

inline Result<std::vector<std::int64_t>> wholeNumbers(
    protozero::data_view bytes, Dtype type, const std::string& what)
{
    return type == Dtype::Int32 ? arrayOf<std::int32_t, std::int64_t>(bytes, what)
                                : arrayOf<std::int64_t, std::int64_t>(bytes, what);
}

inline Result<std::vector<float>> realNumbers(
    protozero::data_view bytes, Dtype type, const std::string& what)
{
    return type == Dtype::Bfloat16 ? arrayOf<std::uint16_t, float>(bytes, what)
                                   : arrayOf<float, float>(bytes, what);
}

inline Status addSizes(
    pbf_reader& reader, std::vector<std::int64_t>& shape, const std::string& what)
{
    if (reader.wire_type() == protozero::pbf_wire_type::varint) {
        shape.push_back(reader.get_int64());
    } else {
        const auto sizes = reader.get_packed_int64();
        for (const auto size : sizes) {
            if (shape.size() > kMaxTensorDimensions)
                break;
            shape.push_back(size);
        }
    }
    if (shape.size() > kMaxTensorDimensions)
        return badTensor(what + " has more than 8 dimensions");
    return done();
}

/// An entry of either configuration map.
struct ConfigEntry
{
    std::string key;
    std::optional<double> number;
    std::optional<std::string> text;
};

inline ConfigEntry configEntry(pbf_reader reader, bool isSecondForm)
{
    ConfigEntry entry;
    entry.number = 0.0; // proto3 leaves zeros out
    while (reader.next()) {
        if (isField(reader, 1, kBytes)) {
            entry.key = protoText(reader, kMaxProtoName);
        } else if (!isSecondForm && isField(reader, 2, kFixed64)) {
            entry.number = reader.get_double();
        } else if (isSecondForm && isField(reader, 2, kBytes)) {
            auto value = reader.get_message();
            while (value.next()) {
                if (isField(value, 1, kFixed64)) {
                    entry.number = value.get_double();
                    entry.text.reset();
                } else if (isField(value, 2, kBytes)) {
                    entry.text = protoText(value, kMaxProtoText);
                    entry.number.reset();
                } else {
                    value.skip();
                }
            }
        } else {
            reader.skip();
        }
    }
    return entry;
}

template <class T>
void addArray(pbf_writer& writer, protozero::pbf_tag_type tag, const std::vector<T>& values)
{
    const void* bytes = values.data();
    writer.add_bytes(tag, static_cast<const char*>(bytes), values.size() * sizeof(T));
}

inline Error brokenMessage(const char* what, const std::exception& problem)
{
    return badTensor(std::string(what) + " is no such message: " + problem.what());
}

} // namespace desk::proto
