// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/rest/signed_url.h"

#include <array>
#include <charconv>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace desk::local {

namespace {

    std::string hexDigits(const unsigned char* bytes, std::size_t count)
    {
        static constexpr char kDigits[] = "0123456789abcdef";
        std::string text;
        for (std::size_t i = 0; i < count; ++i) {
            text += kDigits[bytes[i] >> 4];
            text += kDigits[bytes[i] & 15];
        }
        return text;
    }

    Error badLink(const char* why)
    {
        return Error { Error::Code::Auth, std::string("the link ") + why, "nothing was sent",
            "ask for a new link", {} };
    }

} // namespace

UrlSigner::UrlSigner(std::string key)
    : m_key(std::move(key))
{
}

std::string UrlSigner::signature(std::string_view path, std::string_view expires) const
{
    const auto text = std::string(path) + "\n" + std::string(expires);
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest {};
    std::string bytes(text);
    unsigned int size = 0;
    const auto* data = static_cast<const void*>(bytes.data());
    ::HMAC(::EVP_sha256(), m_key.data(), static_cast<int>(m_key.size()),
        static_cast<const unsigned char*>(data), bytes.size(), digest.data(), &size);
    return hexDigits(digest.data(), size);
}

std::string UrlSigner::query(std::string_view path, Time expires) const
{
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(expires.time_since_epoch()).count();
    const auto text = std::to_string(seconds);
    return "expires=" + text + "&signature=" + signature(path, text);
}

Status UrlSigner::check(
    std::string_view path, const std::string& expires, const std::string& given, Time now) const
{
    const auto right = signature(path, expires);
    if (given.size() != right.size()
        || ::CRYPTO_memcmp(given.data(), right.data(), right.size()) != 0)
        return badLink("has no valid signature");
    std::int64_t seconds = 0;
    const auto read = std::from_chars(expires.data(), expires.data() + expires.size(), seconds);
    if (read.ec != std::errc {} || Time(std::chrono::seconds(seconds)) <= now)
        return badLink("is over");
    return done();
}

std::string sha256Hex(std::string_view bytes)
{
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest {};
    unsigned int size = 0;
    ::EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, ::EVP_sha256(), nullptr);
    return hexDigits(digest.data(), size);
}

} // namespace desk::local
