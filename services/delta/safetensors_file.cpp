// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/output_file.h"
#include "services/delta/safetensors.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <new>
#include <sys/mman.h>
#include <sys/stat.h>
#include <tuple>
#include <unistd.h>

namespace desk {

struct SafetensorsFile::State
{
    std::filesystem::path path;
    int fd = -1;
    std::uint64_t size = 0;
    SafetensorsHeader header;
    std::once_flag mapOnce;
    void* mapping = nullptr;

    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State()
    {
        if (mapping != nullptr)
            ::munmap(mapping, size);
        if (fd >= 0)
            ::close(fd);
    }
    void map()
    {
        std::call_once(mapOnce, [this] {
            if (size == 0)
                return;
            void* at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
            mapping = at == MAP_FAILED ? nullptr : at;
        });
    }
};

SafetensorsFile::SafetensorsFile(std::unique_ptr<State> state)
    : m_state(std::move(state))
{
}
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;
SafetensorsFile::~SafetensorsFile() = default;

Result<SafetensorsFile> SafetensorsFile::open(
    const std::filesystem::path& path, FileProblem* problem, bool isShortAllowed)
{
    auto state = std::make_unique<State>();
    state->path = path;
    const auto unreadable = [&](Error error) {
        if (problem != nullptr)
            *problem = { "unreadable", {}, {}, std::nullopt, error.message };
        return error;
    };
    // O_NONBLOCK: opening a named pipe must not wait for somebody to write into it.
    state->fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (state->fd < 0)
        return unreadable(systemError(errno, "open", path));
    struct stat facts = {};
    if (::fstat(state->fd, &facts) != 0)
        return unreadable(systemError(errno, "examine", path));
    if (!S_ISREG(facts.st_mode))
        return unreadable(
            { Error::Code::Unreadable, path.string() + " is not a regular file", {}, {}, {} });
    state->size = static_cast<std::uint64_t>(facts.st_size);

    SafetensorsFile file(std::move(state));
    std::vector<std::byte> start(std::min<std::uint64_t>(8, file.m_state->size));
    if (auto got = file.readRaw(0, start); !got)
        return unreadable(got.error());
    if (start.size() == 8) {
        std::uint64_t length = 0;
        std::memcpy(&length, start.data(), sizeof length);
        if (length <= kMaxSafetensorsHeader && length <= file.m_state->size - 8) {
            start.resize(8 + length);
            if (auto got = file.readRaw(0, start); !got)
                return unreadable(got.error());
        }
    }
    auto header = parseSafetensorsHeader(start, file.m_state->size, problem, isShortAllowed);
    if (!header) {
        auto error = header.error();
        error.message = path.filename().string() + ": " + error.message;
        return error;
    }
    file.m_state->header = *std::move(header);
    return file;
}

const std::filesystem::path& SafetensorsFile::path() const noexcept
{
    return m_state->path;
}
const SafetensorsHeader& SafetensorsFile::header() const noexcept
{
    return m_state->header;
}
std::uint64_t SafetensorsFile::fileSize() const noexcept
{
    return m_state->size;
}

Status SafetensorsFile::read(
    const TensorInfo& tensor, std::uint64_t offset, std::span<std::byte> out) const
{
    return readRaw(m_state->header.dataStart + tensor.begin + offset, out);
}

Status SafetensorsFile::readRaw(std::uint64_t offset, std::span<std::byte> out) const
{
    while (!out.empty()) {
        const auto count = ::pread(m_state->fd, out.data(), out.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return systemError(errno, "read", m_state->path);
        if (count == 0)
            return Error { Error::Code::Unreadable,
                m_state->path.string() + " ended at byte " + std::to_string(offset)
                    + " while it was read: it became shorter",
                "nothing was written", "try again when nothing writes the file", {} };
        offset += static_cast<std::uint64_t>(count);
        out = out.subspan(static_cast<std::size_t>(count));
    }
    return done();
}

std::span<const std::byte> SafetensorsFile::bytes(const TensorInfo& tensor) const
{
    m_state->map();
    if (m_state->mapping == nullptr)
        return {};
    return { static_cast<const std::byte*>(m_state->mapping) + m_state->header.dataStart
            + tensor.begin,
        tensor.byteCount() };
}

Status writeSafetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
    const std::map<std::string, std::string>& metadata)
{
    std::vector<const TensorView*> order;
    for (const auto& tensor : tensors)
        order.push_back(&tensor);
    std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
        const auto bitsA = bitsOf(a->dtype);
        const auto bitsB = bitsOf(b->dtype);
        return bitsA != bitsB ? bitsA > bitsB : a->name < b->name;
    });
    std::vector<TensorInfo> infos;
    std::uint64_t end = 0;
    for (const auto* tensor : order) {
        infos.push_back(
            { tensor->name, tensor->dtype, tensor->shape, end, end + tensor->data.size() });
        end += tensor->data.size();
    }
    std::string header;
    try {
        header = formatSafetensorsHeader(infos, metadata);
    } catch (const std::exception&) {
        return Error { Error::Code::Malformed, "a tensor or metadata name is not valid UTF-8",
            path.string() + " was not written", {}, {} };
    }
    const auto headerBytes = std::as_bytes(std::span(header));
    if (auto checked = parseSafetensorsHeader(headerBytes, header.size() + end); !checked) {
        auto error = checked.error();
        error.unchanged = path.string() + " was not written";
        error.next.clear();
        return error;
    }
    auto file = OutputFile::create(path);
    if (!file)
        return file.error();
    if (auto step = file->reserve(header.size() + end); !step)
        return step;
    if (auto step = file->writeAt(0, headerBytes); !step)
        return step;
    for (std::size_t i = 0; i < order.size(); ++i)
        if (auto step = file->writeAt(header.size() + infos[i].begin, order[i]->data); !step)
            return step;
    return file->commit();
}

} // namespace desk
