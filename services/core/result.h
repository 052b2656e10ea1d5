// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant> // std::monostate

namespace desk {

/// Why something the world was asked for did not happen. The codes are those of the command line
/// (`"code"` of its JSON errors), so that a script and a screen name a failure the same way.
struct Error
{
    enum class Code
    {
        Usage, ///< the caller asked for something that cannot be asked
        Unreadable, ///< a file, socket or device could not be read or written
        Malformed, ///< an input does not follow its format
        Refused, ///< the other side or a preflight said no, for a stated reason
        NotFound,
        Conflict, ///< the name exists, or the state changed under us
        Auth,
        Quota,
        Unreachable, ///< no answer, and certainly no effect
        Backend, ///< the other side failed; or the device is lost
        Canceled,
        Unknown, ///< a reply was lost: the effect may have happened
        Full, ///< no space left
        OutOfMemory
    };
    Code code = Code::Backend;
    std::string message; ///< what happened; English, for logs and scripts; no trailing dot
    std::string unchanged {}; ///< what did not happen; may be empty
    std::string next {}; ///< what to do next; may be empty
    std::string requestId {}; ///< of the other side, for a support request; may be empty
};

/// The `"code"` word of cli.md for a code.
[[nodiscard]] const char* toString(Error::Code code) noexcept;

/// A value or the Error that prevented it; the names are those of std::expected.
template <class T>
class [[nodiscard]] Result
{
public:
    using value_type = T;

    Result(T value)
        : m_value(std::move(value))
    {
    }
    Result(Error error)
        : m_error(std::move(error))
    {
    }
    [[nodiscard]] bool has_value() const noexcept { return m_value.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }
    [[nodiscard]] const T& operator*() const&
    {
        assert(has_value());
        return *m_value;
    }
    [[nodiscard]] T& operator*() &
    {
        assert(has_value());
        return *m_value;
    }
    [[nodiscard]] T&& operator*() &&
    {
        assert(has_value());
        return std::move(*m_value);
    }
    [[nodiscard]] const T* operator->() const
    {
        assert(has_value());
        return &*m_value;
    }
    [[nodiscard]] T* operator->()
    {
        assert(has_value());
        return &*m_value;
    }
    [[nodiscard]] const Error& error() const&
    {
        assert(!has_value());
        return *m_error;
    }
    [[nodiscard]] T value_or(T fallback) const&
    {
        return has_value() ? **this : std::move(fallback);
    }
    template <class F>
    [[nodiscard]] auto and_then(F f) const& -> std::invoke_result_t<F, const T&>
    {
        if (!has_value())
            return error();
        return f(**this);
    }
    template <class F>
    [[nodiscard]] auto transform(F f) const& -> Result<std::invoke_result_t<F, const T&>>
    {
        if (!has_value())
            return error();
        return f(**this);
    }

private:
    // Two optionals: GCC 12 reports false null dereferences for every std::get_if on a variant.
    std::optional<T> m_value;
    std::optional<Error> m_error;
};

using Status = Result<std::monostate>;

/// The Status that says "done".
[[nodiscard]] inline Status done()
{
    return std::monostate {};
}

} // namespace desk
