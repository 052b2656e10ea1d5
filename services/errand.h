// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/on_finished.h"

#include <QFuture>
#include <QFutureWatcher>
#include <QObject>
#include <QPointer>
#include <QPromise>
#include <QTimer>

#include <chrono>
#include <functional>
#include <memory>
#include <utility>

namespace desk {

/// Several asynchronous steps that end in one future. Held by the steps that are under way; when
/// the guard dies, or the future is canceled, the steps end and the future is canceled.
/// THREAD: that of the guard.
template <class T>
class Errand : public std::enable_shared_from_this<Errand<T>>
{
public:
    [[nodiscard]] static std::shared_ptr<Errand> start(QObject* guard)
    {
        auto errand = std::shared_ptr<Errand>(new Errand(guard));
        auto* watcher = new QFutureWatcher<Result<T>>(guard);
        errand->m_watcher = watcher;
        QObject::connect(
            watcher, &QFutureWatcherBase::canceled, guard, [weak = std::weak_ptr<Errand>(errand)] {
                if (const auto self = weak.lock())
                    self->stop();
            });
        watcher->setFuture(errand->m_promise.future());
        return errand;
    }
    ~Errand()
    {
        if (m_watcher)
            m_watcher->deleteLater();
    }
    Errand(const Errand&) = delete;
    Errand& operator=(const Errand&) = delete;

    [[nodiscard]] QFuture<Result<T>> future() const { return m_promise.future(); }
    [[nodiscard]] bool isOver() const { return m_isOver || m_promise.isCanceled(); }

    /// handle(Result<U>) when `inner` ends, unless this errand is over by then.
    template <class U, class Handler>
    void await(QFuture<Result<U>> inner, Handler handle)
    {
        m_cancelStep = [inner]() mutable { inner.cancel(); };
        onFinished(inner, m_guard,
            [self = this->shared_from_this(), handle = std::move(handle)](
                Result<U> result) mutable {
                if (!self->isOver())
                    handle(std::move(result));
            });
    }
    /// As await, but an error ends the errand with that error; handle gets the value.
    template <class U, class Handler>
    void awaitValue(QFuture<Result<U>> inner, Handler handle)
    {
        await(
            std::move(inner), [self = this, handle = std::move(handle)](Result<U> result) mutable {
                if (result)
                    handle(*std::move(result));
                else
                    self->finish(result.error());
            });
    }
    template <class Handler>
    void after(std::chrono::milliseconds delay, Handler handle)
    {
        m_cancelStep = {};
        QTimer::singleShot(delay, m_guard,
            [self = this->shared_from_this(), handle = std::move(handle)]() mutable {
                if (!self->isOver())
                    handle();
            });
    }
    void finish(Result<T> result)
    {
        if (m_isOver)
            return;
        m_isOver = true;
        if (!m_promise.isCanceled())
            m_promise.addResult(std::move(result));
        m_promise.finish();
    }

private:
    explicit Errand(QObject* guard)
        : m_guard(guard)
    {
        m_promise.start();
    }
    void stop()
    {
        if (m_isOver)
            return;
        m_isOver = true;
        if (m_cancelStep)
            m_cancelStep();
        m_promise.finish();
    }

    QObject* m_guard;
    QPointer<QObject> m_watcher;
    mutable QPromise<Result<T>> m_promise;
    std::function<void()> m_cancelStep;
    bool m_isOver = false;
};

/// A future of convert(Result<U>) -> Result<T>. Canceling it cancels `inner`.
template <class T, class U, class Convert>
[[nodiscard]] QFuture<Result<T>> mapFuture(
    QFuture<Result<U>> inner, QObject* guard, Convert convert)
{
    auto errand = Errand<T>::start(guard);
    auto future = errand->future();
    errand->await(std::move(inner),
        [self = errand.get(), convert = std::move(convert)](
            Result<U> result) mutable { self->finish(convert(std::move(result))); });
    return future;
}

} // namespace desk
