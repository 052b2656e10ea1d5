// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/rest/tar_archive.h"

#include "services/local/objects/files.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <system_error>
#include <vector>

namespace desk::local {

namespace fs = std::filesystem;

namespace {

    constexpr std::size_t kTarBlock = 512;
    constexpr std::size_t kTarName = 100;

    /// Octal digits with a closing NUL, right-aligned in the field.
    void putOctal(std::string& header, std::size_t at, int width, unsigned long long value)
    {
        std::array<char, 24> text {};
        const int count = std::snprintf(text.data(), text.size(), "%0*llo", width - 1, value);
        header.replace(
            at, static_cast<std::size_t>(count), text.data(), static_cast<std::size_t>(count));
    }

    std::string tarHeader(const std::string& name, std::uint64_t size)
    {
        std::string header(kTarBlock, '\0');
        header.replace(0, name.size(), name);
        putOctal(header, 100, 8, 0644);
        putOctal(header, 108, 8, 0);
        putOctal(header, 116, 8, 0);
        putOctal(header, 124, 12, size);
        putOctal(header, 136, 12, 0); // one folder gives the same archive every time
        header.replace(148, 8, 8, ' ');
        header[156] = '0';
        header.replace(257, 6, "ustar", 6);
        header.replace(263, 2, "00");
        unsigned sum = 0;
        for (const char c : header)
            sum += static_cast<unsigned char>(c);
        putOctal(header, 148, 7, sum);
        header[154] = '\0';
        header[155] = ' ';
        return header;
    }

} // namespace

Result<std::string> tarOfFolder(const fs::path& folder, std::uint64_t maxBytes)
{
    std::error_code error;
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder, error))
        if (entry.is_regular_file(error))
            files.push_back(entry.path());
    if (error)
        return fileError(error.value(), "reading the folder " + folder.string() + " failed");
    std::sort(files.begin(), files.end());
    std::string archive;
    for (const auto& file : files) {
        const auto name = file.filename().string();
        if (name.size() > kTarName || archive.size() > maxBytes)
            return Error { Error::Code::Refused,
                "the folder " + folder.string() + " does not fit into an archive",
                "nothing was sent", "download its files one by one", {} };
        auto bytes = readSmallFile(file, maxBytes);
        if (!bytes)
            return bytes.error();
        archive += tarHeader(name, bytes->size());
        archive += *bytes;
        archive.append((kTarBlock - bytes->size() % kTarBlock) % kTarBlock, '\0');
    }
    archive.append(2 * kTarBlock, '\0');
    return archive;
}

} // namespace desk::local
