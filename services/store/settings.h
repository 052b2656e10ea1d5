// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/settings_codec.h"
#include "services/core/connection.h"
#include "services/core/result.h"

#include <QFileSystemWatcher>
#include <QObject>
#include <QString>
#include <QThreadPool>
#include <QTimer>

#include <optional>
#include <set>
#include <string>

namespace desk {

/// What a profile remembers between two starts, as one typed value in a small JSON file. Never a
/// key: those live in the keyring or the environment.
///
/// A file that cannot be read as settings is kept beside as "settings.broken" and said in
/// problem(); the desk starts with defaults. Writes are collected for 200 ms and done off the
/// calling thread by rename. Several processes may share the file: only what was changed here is
/// written, and what others wrote is read within a second.
/// THREAD: the one it lives on.
class Settings final : public QObject
{
    Q_OBJECT

public:
    /// Reads `file` at once (at most 1 MiB); a file that is not there is the defaults.
    explicit Settings(QString file, QObject* parent = nullptr);
    ~Settings() override; ///< writes what is pending
    Q_DISABLE_COPY_MOVE(Settings)

    [[nodiscard]] const SettingsValues& values() const { return m_values; }
    [[nodiscard]] const std::string& problem() const { return m_problem; }

    [[nodiscard]] std::optional<Connection> connection(const std::string& name) const;
    /// Adds, or replaces the one of the same name.
    void putConnection(Connection connection);
    bool removeConnection(const std::string& name); ///< false: there is none
    void setLastConnection(const std::string& name);
    void setTheme(const std::string& theme); ///< "system", "light", "dark"
    void addRunFolder(const QString& folder);
    void removeRunFolder(const QString& folder);
    /// Small named texts of the window: geometry, column widths; at most 64 KiB each.
    void setText(const std::string& key, std::string value);
    [[nodiscard]] std::string text(const std::string& key) const;
    /// Writes now; for programs that end at once.
    Status save();

Q_SIGNALS:
    void changed();
    void saveFailed(const desk::Error& error);

private:
    /// What was changed here since the last write; the rest of the file belongs to others.
    struct Groups
    {
        bool connections = false;
        bool lastConnection = false;
        bool theme = false;
        bool runFolders = false;
        std::set<std::string> texts;
    };
    void touched();
    void writeLater();
    void readAgain();
    static Status write(const QString& file, const SettingsValues& values, const Groups& groups);

    const QString m_file;
    SettingsValues m_values;
    std::string m_problem;
    Groups m_dirty;
    QTimer m_timer;
    QFileSystemWatcher m_watcher;
    QThreadPool m_pool; // one thread: writes stay in order
};

} // namespace desk
