// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/metrics/ledger_tail.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace desk {
namespace {

    constexpr std::size_t kChunk = std::size_t { 1 } << 20;
    constexpr std::size_t kHeadBytes = 256;

    Error tailError(const char* what, const std::filesystem::path& path)
    {
        return { Error::Code::Unreadable,
            std::string(what) + " " + path.string() + ": " + std::strerror(errno),
            "no new samples were read", "check that the file is there and may be read", {} };
    }

    class TailFile
    {
    public:
        explicit TailFile(const std::filesystem::path& path)
            : m_fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK))
        {
        }
        ~TailFile()
        {
            if (m_fd >= 0)
                ::close(m_fd);
        }
        TailFile(const TailFile&) = delete;
        TailFile& operator=(const TailFile&) = delete;
        [[nodiscard]] int fd() const noexcept { return m_fd; }

    private:
        int m_fd;
    };

} // namespace

LedgerTail::LedgerTail(std::filesystem::path path, std::shared_ptr<SeriesStore> store)
    : m_path(std::move(path))
    , m_store(std::move(store))
    , m_reader(std::make_unique<JsonlReader>(*m_store))
{
}

LedgerTail::~LedgerTail() = default;

const LedgerReport& LedgerTail::report() const
{
    return m_reader->report();
}

std::vector<KeyReport> LedgerTail::keys() const
{
    return m_reader->keys();
}

void LedgerTail::restart(int xRank)
{
    m_store->clear();
    m_reader = std::make_unique<JsonlReader>(*m_store, xRank);
    m_offset = 0;
    m_head.clear();
}

Result<LedgerTail::Progress> LedgerTail::poll(std::int64_t arrivalUs, std::uint64_t maxBytes)
{
    Progress progress;
    const TailFile file(m_path);
    if (file.fd() < 0) {
        if (errno == ENOENT)
            return progress;
        return tailError("cannot open", m_path);
    }
    struct stat info
    {
    };
    if (::fstat(file.fd(), &info) != 0)
        return tailError("cannot examine", m_path);
    if (!S_ISREG(info.st_mode))
        return Error { Error::Code::Unreadable, m_path.string() + " is not a regular file",
            "no new samples were read", "name a ledger file", {} };

    // A ledger only grows. Anything else means that it was written anew.
    std::string head(kHeadBytes, '\0');
    const ssize_t headBytes = ::pread(file.fd(), head.data(), head.size(), 0);
    head.resize(headBytes > 0 ? static_cast<std::size_t>(headBytes) : 0);
    const bool isOther = m_offset > 0
        && (static_cast<std::uint64_t>(info.st_size) < m_offset
            || m_inode != static_cast<std::uint64_t>(info.st_ino)
            || m_device != static_cast<std::uint64_t>(info.st_dev) || !head.starts_with(m_head));
    if (isOther) {
        restart(-1);
        progress.restarted = true;
    }
    m_inode = static_cast<std::uint64_t>(info.st_ino);
    m_device = static_cast<std::uint64_t>(info.st_dev);
    m_head = std::move(head);

    std::string chunk(kChunk, '\0');
    for (;;) {
        const std::uint64_t left = maxBytes - std::min(maxBytes, progress.newBytes);
        const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(kChunk, left));
        if (want == 0) {
            progress.atEnd = false;
            return progress;
        }
        const ssize_t got = ::pread(file.fd(), chunk.data(), want, static_cast<off_t>(m_offset));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tailError("cannot read", m_path);
        if (got == 0)
            break;
        m_offset += static_cast<std::uint64_t>(got);
        progress.newBytes += static_cast<std::uint64_t>(got);
        m_reader->feed({ chunk.data(), static_cast<std::size_t>(got) }, arrivalUs);
        if (m_reader->wantsReread()) {
            const std::string kept = m_head;
            restart(m_reader->xRank());
            m_head = kept;
            progress.restarted = true;
            progress.newBytes = 0;
        }
    }
    if (progress.newBytes > 0) {
        m_reader->finish();
        if (m_reader->wantsReread()) { // the last line brought the better x key
            restart(m_reader->xRank());
            progress.restarted = true;
            progress.atEnd = false;
        }
    }
    return progress;
}

} // namespace desk
