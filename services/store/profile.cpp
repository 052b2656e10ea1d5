// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/store/profile.h"

#include <QDateTime>
#include <QDir>
#include <QFile>
#include <QFileInfo>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    QString xdgDirectory(const char* variable, const QString& fallback)
    {
        // Relative paths in these variables are to be ignored (XDG base directory specification).
        const auto set = qEnvironmentVariable(variable);
        const auto base = QDir::isAbsolutePath(set) ? set : QDir::homePath() + u'/' + fallback;
        return QDir::cleanPath(base + u"/trainerdesk"_s);
    }

} // namespace

QString Profile::journalFile() const
{
    return stateDir + u"/journal.sqlite"_s;
}

QString Profile::settingsFile() const
{
    return stateDir + u"/settings"_s;
}

QString Profile::chainsDir() const
{
    return stateDir + u"/chains"_s;
}

QString Profile::readyFile() const
{
    return localDir + u"/ready.json"_s;
}

QString Profile::backendLog() const
{
    return localDir + u"/backend.log"_s;
}

Profile profileAt(const QString& directory)
{
    Profile profile;
    if (directory.isEmpty()) {
        const auto data = xdgDirectory("XDG_DATA_HOME", u".local/share"_s);
        profile.stateDir = xdgDirectory("XDG_STATE_HOME", u".local/state"_s);
        profile.cacheDir = xdgDirectory("XDG_CACHE_HOME", u".cache"_s);
        profile.localDir = data + u"/local"_s;
        profile.runsDir = data + u"/runs"_s;
        return profile;
    }
    profile.root = QDir::cleanPath(QDir::current().absoluteFilePath(directory));
    profile.stateDir = profile.root + u"/state"_s;
    profile.cacheDir = profile.root + u"/cache"_s;
    profile.localDir = profile.root + u"/local"_s;
    profile.runsDir = profile.root + u"/runs"_s;
    return profile;
}

Status ensureProfile(const Profile& profile)
{
    constexpr auto kOwnerOnly =
        QFileDevice::ReadOwner | QFileDevice::WriteOwner | QFileDevice::ExeOwner;
    for (const auto& path :
        { profile.stateDir, profile.cacheDir, profile.localDir, profile.runsDir }) {
        if (QFileInfo(path).isDir())
            continue;
        if (!QDir().mkpath(path))
            return Error { Error::Code::Unreadable,
                "The profile directory " + path.toStdString() + " cannot be created",
                "Nothing was started", "Check its permissions or choose another with --profile",
                {} };
        QFile::setPermissions(path, kOwnerOnly);
    }
    return done();
}

QString newRunDirectory(const Profile& profile, const QString& label)
{
    QString word;
    for (const auto c : label.toLower()) {
        const bool isPlain = (c >= u'a' && c <= u'z') || (c >= u'0' && c <= u'9');
        if (isPlain)
            word += c;
        else if (!word.isEmpty() && !word.endsWith(u'-'))
            word += u'-';
        if (word.size() >= 40)
            break;
    }
    while (word.endsWith(u'-'))
        word.chop(1);
    if (word.isEmpty())
        word = u"run"_s;
    const QString stem = profile.runsDir + u'/'
        + QDateTime::currentDateTime().toString(u"yyyyMMdd-HHmmss"_s) + u'-' + word;
    QString path = stem;
    for (int number = 2; QFileInfo::exists(path); ++number)
        path = stem + u'-' + QString::number(number);
    return path;
}

} // namespace desk
