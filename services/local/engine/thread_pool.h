// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

namespace desk::local {

/// Workers of the engine. Several engines may share one pool: calls from different threads take
/// turns. The calling thread works too, so a pool of one thread starts none.
class ThreadPool
{
public:
    explicit ThreadPool(int threads); ///< 0: as many as the machine has
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    [[nodiscard]] int threads() const noexcept;

    /// Calls `body(i)` for every i in [0, count), each once, in any order; returns when all are
    /// done. `body` must not throw and must not call forEach of the same pool.
    template <class Body>
    void forEach(std::size_t count, Body&& body)
    {
        run(
            count,
            [](void* context, std::size_t index) noexcept {
                (*static_cast<std::remove_reference_t<Body>*>(context))(index);
            },
            const_cast<void*>(static_cast<const void*>(std::addressof(body))));
    }

private:
    using Task = void (*)(void* context, std::size_t index) noexcept;
    void run(std::size_t count, Task task, void* context);
    struct Impl;
    std::unique_ptr<Impl> m_impl;
};

} // namespace desk::local
