// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/gateway/model_export.h"

#include "services/errand.h"
#include "services/gateway/fireworks_client.h"
#include "services/http/http_download.h"

#include <QDir>
#include <QFile>
#include <QFileInfo>
#include <QThreadPool>

#include <algorithm>
#include <atomic>
#include <unistd.h>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr qint64 kCopyBlock = qint64 { 4 } << 20;

    Error exportError(Error::Code code, const std::string& message, const char* next)
    {
        return { code, message, "Nothing was exported", next, {} };
    }

    Status checkTarget(const QString& folder)
    {
        const QFileInfo info(folder);
        if (!QFileInfo(info.absolutePath()).isDir())
            return exportError(Error::Code::Unreadable,
                "There is no folder " + info.absolutePath().toStdString(), "Create it first");
        const bool isFree = !info.exists()
            || (info.isDir() && !info.isSymLink()
                && QDir(folder).isEmpty(
                    QDir::AllEntries | QDir::Hidden | QDir::System | QDir::NoDotAndDotDot));
        if (!isFree)
            return exportError(Error::Code::Conflict,
                folder.toStdString() + " exists and is no empty folder", "Choose another folder");
        return done();
    }

    /// One file, block by block, to the disk.
    Result<qint64> copyFile(
        const QString& from, const QString& to, const std::atomic<bool>& isCanceled)
    {
        QFile source(from);
        QFile target(to);
        if (!source.open(QIODevice::ReadOnly))
            return exportError(Error::Code::Unreadable,
                from.toStdString() + " cannot be read (" + source.errorString().toStdString() + ")",
                "Check its permissions");
        if (!target.open(QIODevice::WriteOnly | QIODevice::NewOnly))
            return exportError(Error::Code::Unreadable,
                to.toStdString() + " cannot be written (" + target.errorString().toStdString()
                    + ")",
                "Check free space and permissions");
        while (!source.atEnd()) {
            if (isCanceled)
                return Error { Error::Code::Canceled, "The export was canceled" };
            const auto block = source.read(kCopyBlock);
            if (block.isEmpty() || target.write(block) != block.size())
                return exportError(Error::Code::Full,
                    to.toStdString() + " cannot be written (" + target.errorString().toStdString()
                        + ")",
                    "Free space, then try again");
        }
        if (!target.flush() || ::fsync(target.handle()) != 0)
            return exportError(Error::Code::Full, "the disk did not take " + to.toStdString(),
                "Free space, then try again");
        return target.size();
    }

    class ModelExport final : public std::enable_shared_from_this<ModelExport>
    {
    public:
        using Job = std::shared_ptr<Errand<ExportedModel>>;
        using Progress = std::function<void(const std::string&, std::uint64_t)>;

        ModelExport(FireworksClient& client, const QString& folder, Progress progress,
            QObject* guard, const Job& errand)
            : m_client(client)
            , m_guard(guard)
            , m_folder(QFileInfo(folder).absoluteFilePath())
            , m_part(m_folder + u".part-"_s + QString::number(::getpid()))
            , m_progress(std::move(progress))
            , m_errand(errand)
        {
            m_result.folder = m_folder.toStdString();
        }
        ~ModelExport()
        {
            m_isCanceled = true;
            if (!m_isDone)
                QDir(m_part).removeRecursively();
        }
        ModelExport(const ModelExport&) = delete;
        ModelExport& operator=(const ModelExport&) = delete;

        void start(const std::string& model)
        {
            m_errand.lock()->awaitValue(
                m_client.getModel(model), [self = shared_from_this()](const Model& row) {
                    self->m_result.model = row.name;
                    if (!QDir().mkpath(self->m_part))
                        return self->fail(exportError(Error::Code::Unreadable,
                            self->m_part.toStdString() + " cannot be created",
                            "Check free space and permissions"));
                    const auto path = QString::fromStdString(row.path);
                    if (!path.isEmpty() && QFileInfo(path).isDir())
                        self->copyNext(
                            path, QDir(path).entryList(QDir::Files | QDir::Readable, QDir::Name));
                    else
                        self->askForFiles(row.name);
                });
        }

    private:
        void copyNext(const QString& from, QStringList names)
        {
            if (names.isEmpty())
                return conclude();
            const auto name = names.takeFirst();
            QPromise<Result<qint64>> promise;
            promise.start();
            auto future = promise.future();
            QThreadPool::globalInstance()->start(
                [promise = std::make_shared<QPromise<Result<qint64>>>(std::move(promise)),
                    self = shared_from_this(), source = QString(from + u'/' + name),
                    target = QString(m_part + u'/' + name)] {
                    promise->addResult(copyFile(source, target, self->m_isCanceled));
                    promise->finish();
                });
            m_errand.lock()->await(
                future, [self = shared_from_this(), from, names, name](Result<qint64> copied) {
                    if (!copied)
                        return self->fail(copied.error());
                    self->note(name, *copied);
                    self->copyNext(from, names);
                });
        }

        void askForFiles(const std::string& model)
        {
            m_errand.lock()->await(m_client.downloadEndpoint(model),
                [self = shared_from_this()](
                    const Result<std::map<std::string, std::string>>& files) {
                    if (!files)
                        return self->fail(files.error());
                    self->fetchNext({ files->begin(), files->end() });
                });
        }

        void fetchNext(std::vector<std::pair<std::string, std::string>> files)
        {
            if (files.empty())
                return conclude();
            const auto [name, url] = files.front();
            files.erase(files.begin());
            const auto told = [self = weak_from_this(), name = name](qint64 bytes) {
                const auto job = self.lock();
                if (job && job->m_progress)
                    job->m_progress(name, job->m_result.bytes + static_cast<std::uint64_t>(bytes));
            };
            m_errand.lock()->await(HttpDownload::start(m_client.http(),
                                       QUrl::fromEncoded(QByteArray::fromStdString(url)),
                                       m_part + u'/' + QString::fromStdString(name), told, m_guard),
                [self = shared_from_this(), files, name = name](Result<qint64> loaded) {
                    if (!loaded)
                        return self->fail(loaded.error());
                    self->note(QString::fromStdString(name), *loaded);
                    self->fetchNext(files);
                });
        }

        void note(const QString& name, qint64 bytes)
        {
            m_result.files.push_back(name.toStdString());
            m_result.bytes += static_cast<std::uint64_t>(bytes);
            if (m_progress)
                m_progress(name.toStdString(), m_result.bytes);
        }

        void conclude()
        {
            if (m_result.files.empty())
                return fail(exportError(Error::Code::NotFound, "The model has no files",
                    "Look at the model on the server"));
            // The folder may have been filled meanwhile.
            if (const auto status = checkTarget(m_folder); !status)
                return fail(status.error());
            QDir().rmdir(m_folder);
            if (!QDir().rename(m_part, m_folder))
                return fail(exportError(Error::Code::Unreadable,
                    m_folder.toStdString() + " cannot be created",
                    "Check permissions, then try again"));
            m_isDone = true;
            std::sort(m_result.files.begin(), m_result.files.end());
            m_errand.lock()->finish(m_result);
        }

        void fail(Error error)
        {
            QDir(m_part).removeRecursively();
            m_errand.lock()->finish(std::move(error));
        }

        FireworksClient& m_client;
        QObject* m_guard;
        QString m_folder;
        QString m_part; // beside the folder, on the same disk
        Progress m_progress;
        std::weak_ptr<Errand<ExportedModel>> m_errand; // held by the step that is under way
        ExportedModel m_result;
        std::atomic<bool> m_isCanceled = false;
        bool m_isDone = false;
    };

} // namespace

QFuture<Result<ExportedModel>> exportModelFiles(FireworksClient& client, const std::string& model,
    const QString& folder, std::function<void(const std::string&, std::uint64_t)> progress,
    QObject* guard)
{
    if (const auto status = checkTarget(folder); !status)
        return finishedFuture<ExportedModel>(status.error());
    auto errand = Errand<ExportedModel>::start(guard);
    auto work = std::make_shared<ModelExport>(client, folder, std::move(progress), guard, errand);
    work->start(model);
    return errand->future();
}

} // namespace desk
