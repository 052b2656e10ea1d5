// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/store/settings.h"

#include "services/on_finished.h"

#include <QFile>
#include <QFileInfo>
#include <QSaveFile>
#include <QtConcurrentRun>

#include <algorithm>
#include <utility>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr qint64 kMaxSettingsBytes = qint64 { 1 } << 20;
    constexpr std::size_t kMaxSettingsText = std::size_t { 64 } << 10;
    constexpr int kSettingsDelayMs = 200;

    /// The values in a file; the defaults if there is none.
    Result<SettingsValues> readSettings(const QString& path)
    {
        QFile file(path);
        if (!file.exists())
            return SettingsValues {};
        if (!file.open(QIODevice::ReadOnly))
            return Error { Error::Code::Unreadable,
                "The settings " + path.toStdString()
                    + " cannot be read: " + file.errorString().toStdString(),
                "The desk starts with defaults", "Check the permissions of the file", {} };
        if (file.size() > kMaxSettingsBytes)
            return Error { Error::Code::Malformed,
                "The settings " + path.toStdString() + " are larger than 1 MiB", {}, {}, {} };
        const auto text = file.read(kMaxSettingsBytes);
        return decodeSettings({ text.constData(), static_cast<std::size_t>(text.size()) });
    }

} // namespace

Settings::Settings(QString file, QObject* parent)
    : QObject(parent)
    , m_file(std::move(file))
{
    m_pool.setMaxThreadCount(1);
    m_timer.setSingleShot(true);
    m_timer.setInterval(kSettingsDelayMs);
    connect(&m_timer, &QTimer::timeout, this, &Settings::writeLater);
    if (auto values = readSettings(m_file)) {
        m_values = *std::move(values);
    } else {
        m_problem = values.error().message;
        if (values.error().code == Error::Code::Malformed) {
            const QString aside = m_file + u".broken"_s;
            QFile::remove(aside);
            if (QFile::rename(m_file, aside))
                m_problem += "; it is kept as " + aside.toStdString();
        }
    }
    // Writers replace the file by rename, so the folder is what can be watched.
    m_watcher.addPath(QFileInfo(m_file).absolutePath());
    connect(&m_watcher, &QFileSystemWatcher::directoryChanged, this, &Settings::readAgain);
}

Settings::~Settings()
{
    m_pool.waitForDone();
    if (m_timer.isActive())
        static_cast<void>(write(m_file, m_values, m_dirty)); // nobody is left who could be told
}

std::optional<Connection> Settings::connection(const std::string& name) const
{
    const auto& all = m_values.connections;
    const auto it =
        std::find_if(all.begin(), all.end(), [&](const Connection& c) { return c.name == name; });
    return it == all.end() ? std::nullopt : std::optional(*it);
}

void Settings::putConnection(Connection connection)
{
    auto& all = m_values.connections;
    const auto it = std::find_if(
        all.begin(), all.end(), [&](const Connection& c) { return c.name == connection.name; });
    if (it != all.end() && *it == connection)
        return;
    if (it == all.end())
        all.push_back(std::move(connection));
    else
        *it = std::move(connection);
    m_dirty.connections = true;
    touched();
}

bool Settings::removeConnection(const std::string& name)
{
    const auto gone =
        std::erase_if(m_values.connections, [&](const Connection& c) { return c.name == name; });
    if (gone == 0)
        return false;
    m_dirty.connections = true;
    touched();
    return true;
}

void Settings::setLastConnection(const std::string& name)
{
    if (m_values.lastConnection == name)
        return;
    m_values.lastConnection = name;
    m_dirty.lastConnection = true;
    touched();
}

void Settings::setTheme(const std::string& theme)
{
    if (m_values.theme == theme)
        return;
    m_values.theme = theme;
    m_dirty.theme = true;
    touched();
}

void Settings::addRunFolder(const QString& folder)
{
    const auto path = folder.toStdString();
    auto& all = m_values.runFolders;
    if (std::find(all.begin(), all.end(), path) != all.end())
        return;
    all.push_back(path);
    m_dirty.runFolders = true;
    touched();
}

void Settings::removeRunFolder(const QString& folder)
{
    if (std::erase(m_values.runFolders, folder.toStdString()) == 0)
        return;
    m_dirty.runFolders = true;
    touched();
}

void Settings::setText(const std::string& key, std::string value)
{
    if (value.size() > kMaxSettingsText || text(key) == value)
        return;
    m_values.texts[key] = std::move(value);
    m_dirty.texts.insert(key);
    touched();
}

std::string Settings::text(const std::string& key) const
{
    const auto it = m_values.texts.find(key);
    return it == m_values.texts.end() ? std::string {} : it->second;
}

Status Settings::save()
{
    m_timer.stop();
    m_pool.waitForDone();
    return write(m_file, m_values, std::exchange(m_dirty, {}));
}

void Settings::touched()
{
    m_timer.start();
    Q_EMIT changed();
}

void Settings::writeLater()
{
    const auto writing = QtConcurrent::run(
        &m_pool, [file = m_file, values = m_values, groups = std::exchange(m_dirty, {})] {
            return write(file, values, groups);
        });
    onFinished(writing, this, [this](const Status& written) {
        if (!written)
            Q_EMIT saveFailed(written.error());
    });
}

void Settings::readAgain()
{
    if (m_timer.isActive())
        return; // what is being changed here is written first, then everything is read
    const auto reading = QtConcurrent::run(&m_pool, [file = m_file] { return readSettings(file); });
    onFinished(reading, this, [this](const Result<SettingsValues>& values) {
        if (!values || m_timer.isActive() || encodeSettings(*values) == encodeSettings(m_values))
            return;
        m_values = *values;
        Q_EMIT changed();
    });
}

Status Settings::write(const QString& file, const SettingsValues& values, const Groups& groups)
{
    auto merged = readSettings(file).value_or(values);
    if (groups.connections)
        merged.connections = values.connections;
    if (groups.lastConnection)
        merged.lastConnection = values.lastConnection;
    if (groups.theme)
        merged.theme = values.theme;
    if (groups.runFolders)
        merged.runFolders = values.runFolders;
    for (const auto& key : groups.texts)
        merged.texts[key] = values.texts.at(key);
    const auto text = encodeSettings(merged);
    QSaveFile out(file);
    if (out.open(QIODevice::WriteOnly)
        && out.write(text.data(), static_cast<qint64>(text.size()))
            == static_cast<qint64>(text.size())
        && out.commit())
        return done();
    return Error { out.error() == QFileDevice::ResourceError ? Error::Code::Full
                                                             : Error::Code::Unreadable,
        "The settings " + file.toStdString()
            + " cannot be written: " + out.errorString().toStdString(),
        "The old settings are untouched", "Check free space and permissions", {} };
}

} // namespace desk
