// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/secrets/key_store.h"
#include "tests/support/await_future.h"

#include <QFile>
#include <QTemporaryDir>
#include <QTest>

using namespace desk;
using namespace desk::test;
using namespace Qt::StringLiterals;

class KeyStoreTest final : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void keyForThisRunOnly()
    {
        KeyStore store;
        store.setKeyringEnabled(false);
        auto loaded = await(store.load(u"prod"_s));
        QVERIFY(loaded);
        QVERIFY(loaded->key.isEmpty());
        QVERIFY(loaded->place == KeyPlace::None);
        const auto place = await(store.store(u"prod"_s, "fw_1", true));
        QVERIFY(place);
        QVERIFY(*place == KeyPlace::ThisRun); // asked for the keyring; says where it went
        loaded = await(store.load(u"prod"_s));
        QCOMPARE(loaded->key, "fw_1"_ba);
        QVERIFY(loaded->place == KeyPlace::ThisRun);
        QCOMPARE(store.known(u"prod"_s), "fw_1"_ba);
        QVERIFY(await(store.remove(u"prod"_s)));
        QVERIFY(store.known(u"prod"_s).isEmpty());
    }

    void keyringThatDoesNotAnswerIsNoSilentLoss()
    {
        // Without a session bus there is no key service.
        qputenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
        KeyStore store;
        const auto place = await(store.store(u"prod"_s, "fw_2", true), 15'000);
        QVERIFY(place);
        QVERIFY(*place == KeyPlace::ThisRun);
        QCOMPARE(store.known(u"prod"_s), "fw_2"_ba);
    }

    void keyFiles()
    {
        QTemporaryDir folder;
        const auto path = folder.filePath(u"key"_s);
        const auto write = [&](const QByteArray& content, QFile::Permissions permissions) {
            QFile file(path);
            QVERIFY(file.open(QIODevice::WriteOnly | QIODevice::Truncate));
            file.write(content);
            file.setPermissions(permissions);
        };
        const auto own = QFile::ReadOwner | QFile::WriteOwner;
        write("fw_3\nsecond line\n", own);
        auto key = readKeyFile(path);
        QVERIFY(key);
        QCOMPARE(key->key, "fw_3"_ba);
        QVERIFY(!key->isReadableByOthers);
        write(" fw_4 ", own | QFile::ReadOther);
        key = readKeyFile(path);
        QVERIFY(key);
        QCOMPARE(key->key, "fw_4"_ba);
        QVERIFY(key->isReadableByOthers);
        write("\n", own);
        QCOMPARE(codeOf(readKeyFile(path)), "malformed"_ba);
        write("two words\n", own);
        QCOMPARE(codeOf(readKeyFile(path)), "malformed"_ba);
        write(QByteArray(5'000, 'a'), own);
        QCOMPARE(codeOf(readKeyFile(path)), "malformed"_ba);
        QCOMPARE(codeOf(readKeyFile(folder.filePath(u"none"_s))), "unreadable"_ba);
    }

    void environment()
    {
        qunsetenv("FIREWORKS_API_KEY");
        qputenv("TINKER_API_KEY", "tml-1");
        QCOMPARE(keyFromEnvironment(), "tml-1"_ba);
        qputenv("FIREWORKS_API_KEY", "fw_5");
        QCOMPARE(keyFromEnvironment(), "fw_5"_ba);
        qunsetenv("FIREWORKS_API_KEY");
        qunsetenv("TINKER_API_KEY");
        QVERIFY(keyFromEnvironment().isEmpty());
    }
};

QTEST_GUILESS_MAIN(KeyStoreTest)
#include "tst_key_store.moc"
