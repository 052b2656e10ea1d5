// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/store/process_identity.h"

#include <array>
#include <charconv>
#include <fstream>
#include <sstream>
#include <string_view>
#include <unistd.h>

namespace desk {
namespace {

    std::string hostOfThisMachine()
    {
        std::array<char, 256> name {};
        if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0')
            return "localhost";
        return name.data();
    }

    template <class T>
    std::optional<T> wholeNumber(std::string_view text)
    {
        T value {};
        const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
        if (parsed.ec != std::errc {} || parsed.ptr != text.data() + text.size())
            return std::nullopt;
        return value;
    }

} // namespace

std::optional<std::uint64_t> processStartTicks(std::int64_t pid)
{
    if (pid <= 0)
        return std::nullopt;
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    if (!std::getline(file, line))
        return std::nullopt;
    // The name in parentheses may hold anything, so fields are counted after the last ')': field 3
    // is the state, field 22 the start (proc(5)).
    const auto end = line.rfind(')');
    if (end == std::string::npos)
        return std::nullopt;
    std::istringstream fields(line.substr(end + 1));
    std::string field;
    for (int number = 3; number <= 22; ++number) {
        if (!(fields >> field))
            return std::nullopt;
        if (number == 3 && (field == "Z" || field == "X"))
            return std::nullopt;
    }
    return wholeNumber<std::uint64_t>(field);
}

std::optional<Time> processStartTime(std::int64_t pid)
{
    const auto ticks = processStartTicks(pid);
    const auto perSecond = ::sysconf(_SC_CLK_TCK);
    std::ifstream file("/proc/stat");
    std::string word;
    std::int64_t boot = 0;
    while (file >> word && word != "btime") { }
    if (!ticks || perSecond <= 0 || !(file >> boot))
        return std::nullopt;
    const auto micros = static_cast<std::int64_t>(*ticks) * (1'000'000 / perSecond);
    return Time { std::chrono::seconds(boot) + std::chrono::microseconds(micros) };
}

std::string processExecutable(std::int64_t pid)
{
    std::array<char, 4096> path {};
    const auto link = "/proc/" + std::to_string(pid) + "/exe";
    const auto size = ::readlink(link.c_str(), path.data(), path.size() - 1);
    return size > 0 ? std::string(path.data(), static_cast<std::size_t>(size)) : std::string {};
}

std::string identityOfThisProcess()
{
    const auto pid = static_cast<std::int64_t>(::getpid());
    return hostOfThisMachine() + ':' + std::to_string(pid) + ':'
        + std::to_string(processStartTicks(pid).value_or(0));
}

std::optional<bool> isIdentityAlive(const std::string& identity)
{
    const auto ticksAt = identity.rfind(':');
    if (ticksAt == std::string::npos || ticksAt == 0)
        return false;
    const auto pidAt = identity.rfind(':', ticksAt - 1);
    if (pidAt == std::string::npos)
        return false;
    if (identity.substr(0, pidAt) != hostOfThisMachine())
        return std::nullopt;
    const std::string_view text = identity;
    const auto pid = wholeNumber<std::int64_t>(text.substr(pidAt + 1, ticksAt - pidAt - 1));
    const auto ticks = wholeNumber<std::uint64_t>(text.substr(ticksAt + 1));
    return pid && ticks && processStartTicks(*pid) == ticks;
}

} // namespace desk
