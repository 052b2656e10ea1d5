// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>

static_assert(std::endian::native == std::endian::little, "safetensors is read as it lies");

namespace desk {

namespace {

    // No tensor library knows more dimensions; bounds what a header of [1,1,1,…] can allocate.
    constexpr std::size_t kMaxRank = 256;

    struct HeaderFailure
    {
        std::string code;
        std::string tensor;
        std::string message;
    };

    /// Takes the header's JSON event by event: duplicate keys, which a tree would hide, and
    /// anything that is not part of the format end the parse at once.
    class HeaderSax final : public nlohmann::json_sax<nlohmann::json>
    {
    public:
        std::vector<TensorInfo> tensors;
        std::map<std::string, std::string> metadata;
        std::map<std::string, std::size_t, std::less<>> byName;
        HeaderFailure failure;
        bool hasEnded = false;

        bool null() override { return unexpected("null"); }
        bool boolean(bool) override { return unexpected("a boolean"); }
        bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
        bool number_float(number_float_t, const string_t& text) override
        {
            return unexpected("the number " + text.substr(0, 40));
        }
        bool number_unsigned(number_unsigned_t value) override
        {
            if (m_depth != 3)
                return unexpected("a number");
            auto& list = m_field == "shape" ? m_tensor.shape : m_offsets;
            if (list.size() >= (m_field == "shape" ? kMaxRank : 2))
                return fail("malformed", "has too many numbers in " + m_field);
            list.push_back(value);
            return true;
        }
        bool string(string_t& value) override
        {
            if (m_depth == 2 && m_isMetadata) {
                if (!metadata.emplace(m_field, value).second)
                    return failPlain(
                        "duplicate_name", "__metadata__ has the key " + m_field + " twice");
                return true;
            }
            if (m_depth != 2 || m_field != "dtype")
                return unexpected("a string");
            const auto dtype = dtypeFrom(value);
            if (!dtype)
                return fail("unknown_dtype", "has the unknown dtype " + value.substr(0, 40));
            m_tensor.dtype = *dtype;
            return true;
        }
        bool binary(binary_t&) override { return unexpected("binary data"); }
        bool start_object(std::size_t) override
        {
            if (m_depth > 1)
                return unexpected("an object");
            ++m_depth;
            m_seen.clear();
            return true;
        }
        bool key(string_t& name) override
        {
            if (m_depth == 1)
                return startEntry(name);
            m_field = name;
            if (m_isMetadata)
                return true;
            if (name != "dtype" && name != "shape" && name != "data_offsets")
                return fail("malformed", "has the unknown key " + name.substr(0, 80));
            if (std::find(m_seen.begin(), m_seen.end(), name) != m_seen.end())
                return fail("duplicate_name", "has the key " + name + " twice");
            m_seen.push_back(name);
            return true;
        }
        bool end_object() override
        {
            --m_depth;
            if (m_depth == 0)
                hasEnded = true;
            return m_depth == 0 || m_isMetadata ? true : endTensor();
        }
        bool start_array(std::size_t) override
        {
            if (m_depth != 2 || m_isMetadata || m_field == "dtype")
                return unexpected("an array");
            ++m_depth;
            return true;
        }
        bool end_array() override
        {
            --m_depth;
            return true;
        }
        bool parse_error(
            std::size_t position, const std::string&, const nlohmann::detail::exception&) override
        {
            return failPlain("malformed",
                "the header is not valid JSON at byte " + std::to_string(position + 7)
                    + " of the file");
        }

    private:
        bool startEntry(const std::string& name)
        {
            m_isMetadata = name == "__metadata__";
            if (m_isMetadata) {
                if (std::exchange(m_hasMetadata, true))
                    return failPlain("duplicate_name", "the header has __metadata__ twice");
                return true;
            }
            m_tensor = {};
            m_offsets.clear();
            m_tensor.name = name;
            if (!byName.emplace(name, tensors.size()).second)
                return fail("duplicate_name", {});
            return true;
        }
        bool endTensor()
        {
            if (m_seen.size() != 3 || m_offsets.size() != 2)
                return fail("malformed", "lacks dtype, shape or two data_offsets");
            m_tensor.begin = m_offsets[0];
            m_tensor.end = m_offsets[1];
            tensors.push_back(std::move(m_tensor));
            return true;
        }
        bool unexpected(const std::string& what)
        {
            if (m_depth == 0)
                return failPlain("malformed", "the header is " + what + " and not a JSON object");
            if (m_isMetadata)
                return failPlain("malformed", "__metadata__ may hold only strings, not " + what);
            return fail("malformed", "has " + what + " where the format has none");
        }
        bool fail(const char* code, const std::string& text)
        {
            const bool isTwice = std::string_view(code) == "duplicate_name" && text.empty();
            failure = { code, m_tensor.name,
                isTwice ? "duplicate tensor name " + m_tensor.name
                        : "tensor " + m_tensor.name + " " + text };
            return false;
        }
        bool failPlain(const char* code, std::string text)
        {
            failure = { code, {}, std::move(text) };
            return false;
        }

        int m_depth = 0; // 1: header, 2: an entry, 3: shape or data_offsets
        bool m_isMetadata = false;
        bool m_hasMetadata = false;
        std::string m_field;
        std::vector<std::string> m_seen;
        TensorInfo m_tensor;
        std::vector<std::uint64_t> m_offsets;
    };

    /// Bits of the whole tensor; nullopt if they do not fit 64 bits.
    std::optional<std::uint64_t> bitsOfTensor(const TensorInfo& tensor)
    {
        std::uint64_t bits = bitsOf(tensor.dtype);
        if (std::find(tensor.shape.begin(), tensor.shape.end(), 0U) != tensor.shape.end())
            return 0;
        for (const auto extent : tensor.shape)
            if (__builtin_mul_overflow(bits, extent, &bits))
                return std::nullopt;
        return bits;
    }

    std::string bytesWord(std::uint64_t count)
    {
        return std::to_string(count) + (count == 1 ? " byte" : " bytes");
    }

    std::optional<HeaderFailure> checkTensorSize(const TensorInfo& tensor)
    {
        const auto fail = [&](const char* code, const std::string& text) {
            return HeaderFailure { code, tensor.name, "tensor " + tensor.name + " " + text };
        };
        if (tensor.end < tensor.begin)
            return fail("bad_range",
                "ends at " + std::to_string(tensor.end) + " before it begins at "
                    + std::to_string(tensor.begin));
        const auto bits = bitsOfTensor(tensor);
        if (!bits)
            return fail("bad_shape", "has a shape whose size overflows");
        if (*bits % 8 != 0)
            return fail("bad_shape",
                "has " + std::to_string(*bits) + " bits, which are no whole number of bytes");
        if (*bits / 8 != tensor.byteCount())
            return fail("bad_size",
                "needs " + bytesWord(*bits / 8) + " for its shape, but its range "
                    + (tensor.byteCount() == 0 ? "is empty"
                                               : "has " + bytesWord(tensor.byteCount())));
        return std::nullopt;
    }

    /// tensors are sorted; offset: where in the data section the trouble is.
    std::optional<HeaderFailure> checkLayout(
        const std::vector<TensorInfo>& tensors, std::uint64_t* offset)
    {
        const TensorInfo* previous = nullptr;
        std::uint64_t end = 0;
        for (const auto& tensor : tensors) {
            *offset = std::min(tensor.begin, end);
            if (tensor.begin < end) {
                const auto range =
                    std::to_string(tensor.begin) + "-" + std::to_string(std::min(tensor.end, end));
                const bool isSame = previous->begin == tensor.begin && previous->end == tensor.end;
                return HeaderFailure { "overlap", tensor.name,
                    "tensors " + previous->name + " and " + tensor.name
                        + (isSame ? " share bytes " : " overlap at bytes ") + range };
            }
            if (tensor.begin > end)
                return HeaderFailure { "hole", tensor.name,
                    bytesWord(tensor.begin - end)
                        + (previous == nullptr
                                ? " before the first tensor, " + tensor.name
                                : " between " + previous->name + " and " + tensor.name)
                        + " belong to no tensor" };
            end = tensor.end;
            previous = &tensor;
        }
        *offset = end;
        return std::nullopt;
    }

    /// The length of the JSON, or what is wrong with it.
    Result<std::uint64_t> headerLength(
        std::span<const std::byte> start, std::uint64_t fileSize, HeaderFailure* failure)
    {
        std::uint64_t length = 0;
        if (start.size() < sizeof length || fileSize < sizeof length)
            *failure = { "truncated", {},
                "the file has " + bytesWord(fileSize) + ", too few for a header length" };
        else {
            std::memcpy(&length, start.data(), sizeof length);
            if (length > kMaxSafetensorsHeader)
                *failure = { "header_too_long", {},
                    "the header claims " + bytesWord(length)
                        + ", more than the 100000000 allowed" };
            else if (length > fileSize - sizeof length || length > start.size() - sizeof length)
                *failure = { "truncated", {},
                    "the header claims " + bytesWord(length) + ", but the file has only "
                        + bytesWord(fileSize) };
            else
                return length;
        }
        return Error { Error::Code::Malformed, failure->message, {}, {}, {} };
    }

} // namespace

std::uint64_t TensorInfo::elementCount() const noexcept
{
    return std::accumulate(
        shape.begin(), shape.end(), std::uint64_t { 1 }, [](auto a, auto b) { return a * b; });
}

const TensorInfo* SafetensorsHeader::find(std::string_view name) const
{
    const auto found = byName.find(name);
    return found == byName.end() ? nullptr : &tensors[found->second];
}

Result<SafetensorsHeader> parseSafetensorsHeader(std::span<const std::byte> start,
    std::uint64_t fileSize, FileProblem* problem, bool isShortAllowed)
{
    HeaderFailure failure;
    const auto reject = [&](std::optional<std::uint64_t> offset) {
        if (problem != nullptr)
            *problem = { failure.code, {}, failure.tensor, offset, failure.message };
        return Error { Error::Code::Malformed, failure.message, "nothing was written",
            "get the file again from where it came", {} };
    };
    const auto length = headerLength(start, fileSize, &failure);
    if (!length)
        return reject(0);
    const auto* text = reinterpret_cast<const char*>(start.data() + 8);
    const auto first = std::string_view(text, *length).find_first_not_of(" \t\r\n");
    HeaderSax sax;
    if (first == std::string_view::npos || text[first] != '{')
        failure = { "malformed", {}, "the header does not begin with {" };
    else if (!nlohmann::json::sax_parse(text, text + *length, &sax) || !sax.hasEnded)
        failure = sax.failure;
    if (!failure.message.empty())
        return reject(8);

    SafetensorsHeader header { std::move(sax.tensors), std::move(sax.metadata), 8 + *length, 0,
        {} };
    for (const auto& tensor : header.tensors)
        if (auto bad = checkTensorSize(tensor)) {
            failure = std::move(*bad);
            return reject(std::nullopt);
        }
    std::sort(header.tensors.begin(), header.tensors.end(), [](const auto& a, const auto& b) {
        return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
    });
    std::uint64_t end = 0;
    if (auto bad = checkLayout(header.tensors, &end)) {
        failure = std::move(*bad);
        return reject(header.dataStart + end);
    }
    header.dataSize = end;
    const auto present = fileSize - header.dataStart;
    if (present > end) {
        failure = header.tensors.empty()
            ? HeaderFailure { "tail", {}, bytesWord(present) + " that belong to no tensor" }
            : HeaderFailure { "tail", {},
                  bytesWord(present - end) + " after the last tensor (the file has "
                      + bytesWord(fileSize) + ", its tensors end at "
                      + std::to_string(header.dataStart + end) + ")" };
        return reject(header.dataStart + end);
    }
    if (present < end && !isShortAllowed) {
        failure = { "short", {},
            "the file has " + std::to_string(fileSize) + " of " + bytesWord(header.dataStart + end)
                + ", " + std::to_string(end - present) + " are missing" };
        return reject(fileSize);
    }
    for (std::size_t i = 0; i < header.tensors.size(); ++i)
        sax.byName.find(header.tensors[i].name)->second = i;
    header.byName = std::move(sax.byName);
    return header;
}

std::string formatSafetensorsHeader(
    std::span<const TensorInfo> tensors, const std::map<std::string, std::string>& metadata)
{
    const auto quote = [](const std::string& text) { return nlohmann::json(text).dump(); };
    std::string json = "{";
    const auto comma = [&] {
        if (json.size() > 1)
            json += ',';
    };
    if (!metadata.empty()) {
        json += "\"__metadata__\":{";
        for (auto it = metadata.begin(); it != metadata.end(); ++it)
            json +=
                (it == metadata.begin() ? "" : ",") + quote(it->first) + ':' + quote(it->second);
        json += '}';
    }
    for (const auto& tensor : tensors) {
        comma();
        json += quote(tensor.name) + ":{\"dtype\":\"" + toString(tensor.dtype) + "\",\"shape\":[";
        for (std::size_t i = 0; i < tensor.shape.size(); ++i)
            json += (i == 0 ? "" : ",") + std::to_string(tensor.shape[i]);
        json += "],\"data_offsets\":[" + std::to_string(tensor.begin) + ','
            + std::to_string(tensor.end) + "]}";
    }
    json += '}';
    json.append((8 - json.size() % 8) % 8, ' ');
    const std::uint64_t length = json.size();
    std::string bytes(sizeof length, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    return bytes + json;
}

} // namespace desk
