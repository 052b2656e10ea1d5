// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"

#include <QFuture>
#include <QFutureWatcher>
#include <QObject>
#include <QPromise>

#include <utility>

namespace desk {

/// Calls handle(Result<T>) in guard's thread when future ends; never if guard is gone.
/// A future without a result was canceled. Do not use QFuture::then(context, …): it asserts in
/// Qt 6.4 when the context died first.
template <class T, class Handler>
void onFinished(const QFuture<Result<T>>& future, QObject* guard, Handler handle)
{
    auto* watcher = new QFutureWatcher<Result<T>>(guard);
    QObject::connect(watcher, &QFutureWatcherBase::finished, guard,
        [watcher, handle = std::move(handle)]() mutable {
            watcher->deleteLater();
            const auto ended = watcher->future();
            if (ended.resultCount() == 0)
                handle(Result<T>(Error { Error::Code::Canceled, "The work was canceled" }));
            else
                handle(ended.result());
        });
    watcher->setFuture(future);
}

/// A future that has already ended with this result.
template <class T>
[[nodiscard]] QFuture<Result<T>> finishedFuture(Result<T> result)
{
    QPromise<Result<T>> promise;
    promise.start();
    promise.addResult(std::move(result));
    promise.finish();
    return promise.future();
}

} // namespace desk
