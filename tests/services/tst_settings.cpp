// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/store/profile.h"
#include "services/store/settings.h"

#include <QDir>
#include <QFile>
#include <QFileInfo>
#include <QRegularExpression>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

using namespace Qt::StringLiterals;

namespace desk {

class TestSettings final : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        QTest::failOnWarning(QRegularExpression(u".*"_s));
        m_dir = std::make_unique<QTemporaryDir>();
        m_file = m_dir->filePath(u"settings"_s);
    }

    void savedValues_comeBack()
    {
        {
            Settings settings(m_file);
            QCOMPARE(settings.values().theme, std::string("system"));
            settings.putConnection({ "lab", "https://api.fireworks.ai", "desk-lab",
                SafetyLevel::TypeName, false, "#0a7e8c", "" });
            settings.setLastConnection("lab");
            settings.setTheme("dark");
            settings.addRunFolder(u"/data/läufe/eins"_s);
            settings.setText("window.geometry", "AdnQywAD");
            QVERIFY(settings.save());
        }
        Settings again(m_file);
        QVERIFY(again.problem().empty());
        QCOMPARE(again.values().lastConnection, std::string("lab"));
        QCOMPARE(again.values().theme, std::string("dark"));
        QCOMPARE(again.values().runFolders.size(), std::size_t { 1 });
        QCOMPARE(again.text("window.geometry"), std::string("AdnQywAD"));
        const auto lab = again.connection("lab");
        QVERIFY(lab);
        QCOMPARE(lab->account, std::string("desk-lab"));
        QVERIFY(lab->safetyLevel == SafetyLevel::TypeName);
        QVERIFY(!again.connection("other"));
    }

    void brokenFile_isKeptAsideAndSaid()
    {
        QFile file(m_file);
        QVERIFY(file.open(QIODevice::WriteOnly));
        file.write("{\"connections\": 7");
        file.close();
        Settings settings(m_file);
        QVERIFY(!settings.problem().empty());
        QCOMPARE(settings.values().theme, std::string("system"));
        QVERIFY(QFile::exists(m_file + u".broken"_s));
    }

    void twoWriters_keepEachOthersGroups()
    {
        Settings window(m_file);
        Settings ctl(m_file);
        window.setTheme("light");
        QVERIFY(window.save());
        ctl.setLastConnection("local");
        QVERIFY(ctl.save());
        Settings again(m_file);
        QCOMPARE(again.values().theme, std::string("light"));
        QCOMPARE(again.values().lastConnection, std::string("local"));
        QTRY_COMPARE_WITH_TIMEOUT(window.values().lastConnection, std::string("local"), 2000);
    }

    void folderThatCannotBeWritten_isSaid()
    {
        Settings settings(m_dir->filePath(u"no/such/settings"_s));
        QSignalSpy failed(&settings, &Settings::saveFailed);
        settings.setTheme("dark");
        QTRY_COMPARE_WITH_TIMEOUT(failed.count(), 1, 2000);
        QVERIFY(!settings.save());
    }

    void unknownSafetyLevel_isTheStrictest()
    {
        const auto values = decodeSettings(
            "{\"connections\":[{\"name\":\"x\",\"url\":\"https://x\",\"safety_level\":9}],"
            "\"future\":[]}");
        QVERIFY(values);
        QVERIFY(values->connections.front().safetyLevel == SafetyLevel::TypeName);
    }

    void hostileSettings_areRefused_data()
    {
        QTest::addColumn<QByteArray>("text");
        QTest::addRow("no object") << QByteArray("[]");
        QTest::addRow("empty") << QByteArray();
        QTest::addRow("connections") << QByteArray("{\"connections\":{}}");
        QTest::addRow("no name") << QByteArray("{\"connections\":[{\"url\":\"x\"}]}");
        QTest::addRow("deep") << QByteArray("{\"texts\":") + QByteArray(100000, '[');
        QTest::addRow("large") << QByteArray("{\"theme\":\"") + QByteArray(2 << 20, 'x') + "\"}";
    }
    void hostileSettings_areRefused()
    {
        QFETCH(const QByteArray, text);
        QVERIFY(!decodeSettings({ text.constData(), static_cast<std::size_t>(text.size()) }));
    }

    void profile_liesUnderItsDirectory()
    {
        const auto profile = profileAt(m_dir->filePath(u"my profile"_s));
        QCOMPARE(profile.journalFile(), m_dir->filePath(u"my profile/state/journal.sqlite"_s));
        QCOMPARE(profile.readyFile(), m_dir->filePath(u"my profile/local/ready.json"_s));
        QVERIFY(ensureProfile(profile));
        QVERIFY(QFileInfo(profile.runsDir).isDir());
        const auto others = QFileDevice::ReadOther | QFileDevice::ReadGroup;
        QVERIFY(!(QFileInfo(profile.stateDir).permissions() & others));
    }

    void profile_withoutDirectory_isXdg()
    {
        qputenv("XDG_STATE_HOME", "/x/state");
        qputenv("XDG_DATA_HOME", "relative");
        const auto profile = profileAt({});
        QCOMPARE(profile.stateDir, u"/x/state/trainerdesk"_s);
        QCOMPARE(profile.localDir, QDir::homePath() + u"/.local/share/trainerdesk/local"_s);
        qunsetenv("XDG_STATE_HOME");
        qunsetenv("XDG_DATA_HOME");
    }

    void profileThatCannotBeCreated_isSaid()
    {
        QFile file(m_dir->filePath(u"file"_s));
        QVERIFY(file.open(QIODevice::WriteOnly));
        const auto made = ensureProfile(profileAt(m_dir->filePath(u"file/below"_s)));
        QVERIFY(!made);
        QVERIFY(made.error().code == Error::Code::Unreadable);
    }

    void newRunDirectory_isNewEachTime()
    {
        const auto profile = profileAt(m_dir->path());
        QVERIFY(ensureProfile(profile));
        const auto first = newRunDirectory(profile, u"Mein Text: ß/../x"_s);
        QVERIFY(first.endsWith(u"-mein-text-x"_s));
        QVERIFY(QDir().mkpath(first));
        QVERIFY(newRunDirectory(profile, u"Mein Text: ß/../x"_s) != first);
        QVERIFY(newRunDirectory(profile, u"äöü"_s).endsWith(u"-run"_s));
    }

private:
    std::unique_ptr<QTemporaryDir> m_dir;
    QString m_file;
};

} // namespace desk

QTEST_GUILESS_MAIN(desk::TestSettings)
#include "tst_settings.moc"
