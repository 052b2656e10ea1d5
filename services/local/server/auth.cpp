// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/server/auth.h"

#include "services/local/objects/files.h"

#include <sys/random.h>
#include <sys/stat.h>

namespace desk::local {

namespace {

    constexpr std::string_view kTinkerKeyPrefix = "tml-";
    constexpr std::string_view kBearer = "bearer ";
    constexpr std::size_t kMaxKey = 512;

    std::string_view withoutPrefix(std::string_view key) noexcept
    {
        return key.substr(0, kTinkerKeyPrefix.size()) == kTinkerKeyPrefix
            ? key.substr(kTinkerKeyPrefix.size())
            : key;
    }

} // namespace

std::string randomHex(std::size_t digits)
{
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string bytes((digits + 1) / 2, '\0');
    std::size_t filled = 0;
    while (filled < bytes.size()) {
        const auto got = ::getrandom(bytes.data() + filled, bytes.size() - filled, 0);
        if (got > 0)
            filled += static_cast<std::size_t>(got);
    }
    std::string text;
    for (const char byte : bytes) {
        text += kDigits[(static_cast<unsigned char>(byte) >> 4) & 15];
        text += kDigits[static_cast<unsigned char>(byte) & 15];
    }
    text.resize(digits);
    return text;
}

Result<std::string> loadOrCreateKey(const std::filesystem::path& file)
{
    std::error_code missing;
    if (!std::filesystem::exists(file, missing)) {
        const auto key = randomHex(48);
        if (auto status = writeFileSafely(file, key + "\n", 0600); !status)
            return status.error();
        return key;
    }
    auto text = readSmallFile(file, kMaxKey);
    if (!text)
        return text.error();
    std::string key = *text;
    while (!key.empty() && (key.back() == '\n' || key.back() == '\r' || key.back() == ' '))
        key.pop_back();
    if (key.size() < 8)
        return Error { Error::Code::Malformed, "the key file " + file.string() + " holds no key",
            "the backend does not serve", "delete the file, a new key is made on the next start",
            {} };
    ::chmod(file.c_str(), 0600);
    return key;
}

bool sameKey(std::string_view given, std::string_view expected) noexcept
{
    given = withoutPrefix(given);
    expected = withoutPrefix(expected);
    unsigned difference = given.size() == expected.size() ? 0U : 1U;
    for (std::size_t i = 0; i < given.size() && !expected.empty(); ++i)
        difference |= static_cast<unsigned>(static_cast<unsigned char>(given[i])
            ^ static_cast<unsigned char>(expected[i % expected.size()]));
    return difference == 0 && !expected.empty();
}

bool isAuthorized(const HttpRequest& request, std::string_view key) noexcept
{
    const auto apiKey = request.header("X-Api-Key");
    auto bearer = request.header("Authorization");
    if (bearer.size() > kBearer.size()
        && equalsIgnoringCase(bearer.substr(0, kBearer.size()), kBearer))
        bearer.remove_prefix(kBearer.size());
    else
        bearer = {};
    const bool isApiKeyRight = sameKey(apiKey, key);
    const bool isBearerRight = sameKey(bearer, key);
    return isApiKeyRight || isBearerRight;
}

} // namespace desk::local
