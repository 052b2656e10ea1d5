// SPDX-License-Identifier: GPL-3.0-or-later
// packaging/screenshots: every page and sheet of the real program, fed by a real backend and a real
// training, driven by clicks and keys, in both themes. A page that is blank, a Qt warning or a text
// that does not fit is a failure.
#include "app/desk/desk_app.h"
#include "tests/support/window_driver.h"
#include "ui/shell/main_window.h"
#include "ui/style/theme.h"
#include "ui/widgets/panel.h"
#include "ui/widgets/span_label.h"

#include <QApplication>
#include <QCommandLineParser>
#include <QDir>
#include <QFile>
#include <QLabel>
#include <QPushButton>
#include <QTabBar>
#include <QTemporaryDir>

#include <csignal>
#include <cstdio>
#include <map>
#include <string>

using namespace Qt::StringLiterals;

namespace {

constexpr int kWaitMs = 60000;

int g_warnings = 0;
QtMessageHandler g_previousHandler = nullptr;

void countWarnings(QtMsgType type, const QMessageLogContext& context, const QString& text)
{
    if (type == QtWarningMsg || type == QtCriticalMsg) {
        ++g_warnings;
        std::fprintf(stderr, "warning: %s\n", qPrintable(text));
    }
    if (g_previousHandler != nullptr && type == QtFatalMsg)
        g_previousHandler(type, context, text);
}

/// A page whose pixels are nearly all one color shows nothing.
bool isBlank(const QImage& image)
{
    std::map<QRgb, int> counts;
    int samples = 0;
    for (int y = 0; y < image.height(); y += 3)
        for (int x = 0; x < image.width(); x += 3) {
            ++counts[image.pixel(x, y)];
            ++samples;
        }
    int most = 0;
    for (const auto& [color, count] : counts)
        most = std::max(most, count);
    return counts.size() < 8 || most > samples * 98 / 100;
}

/// Labels and buttons whose text is cut off without an ellipsis.
QStringList clippedTexts(const QWidget& window)
{
    QStringList clipped;
    for (const auto* label : window.findChildren<QLabel*>()) {
        // A span label elides by itself, on purpose.
        if (!label->isVisible() || label->wordWrap() || label->text().isEmpty()
            || qobject_cast<const desk::SpanLabel*>(label) != nullptr)
            continue;
        if (label->minimumSizeHint().width() > label->width() + 1)
            clipped << label->objectName() + u": "_s + label->text();
    }
    for (const auto* button : window.findChildren<QPushButton*>()) {
        if (button->isVisible()
            && button->fontMetrics().horizontalAdvance(button->text()) + 8 > button->width())
            clipped << button->objectName() + u": "_s + button->text();
    }
    return clipped;
}

class Shots
{
public:
    Shots(QString folder, QList<desk::Theme::Mode> themes, QSize size)
        : m_folder(std::move(folder))
        , m_themes(std::move(themes))
        , m_size(size)
    {
    }
    int run();

private:
    bool play();
    bool shoot(const QString& page);
    bool commit(const QString& row, const QString& word);
    [[nodiscard]] qsizetype ledgerLines() const;
    void endProcesses() const;
    bool fail(const QString& text)
    {
        std::fprintf(stderr, "screenshots: %s\n", qPrintable(text));
        ++m_failures;
        return false;
    }

    QString m_folder;
    QList<desk::Theme::Mode> m_themes;
    QSize m_size;
    QTemporaryDir m_profileFolder;
    desk::Profile m_profile;
    std::unique_ptr<desk::Theme> m_theme;
    std::unique_ptr<desk::DeskApp> m_app;
    std::unique_ptr<desk::WindowDriver> m_driver;
    int m_failures = 0;
};

int Shots::run()
{
    if (!QDir().mkpath(m_folder) || !m_profileFolder.isValid())
        return fail(u"the folder cannot be written: "_s + m_folder) ? 0 : 3;
    m_profile = desk::profileAt(m_profileFolder.path());
    if (!desk::ensureProfile(m_profile))
        return 3;
    m_theme = std::make_unique<desk::Theme>(m_themes.first());
    const QString bin = QStringLiteral(DESK_BIN_DIR);
    m_app = std::make_unique<desk::DeskApp>(m_profile, *m_theme,
        desk::DeskPrograms { bin + u"/trainerdesk-local"_s, bin + u"/trainerdesk-ctl"_s, {} });
    m_app->start({});
    m_app->window()->resize(m_size);
    m_driver = std::make_unique<desk::WindowDriver>(*m_app->window());
    if (!play())
        fail(u"the tour stopped before its end"_s);
    m_driver.reset();
    m_app.reset();
    endProcesses();
    if (g_warnings > 0)
        fail(u"%1 warnings were printed"_s.arg(g_warnings));
    return m_failures == 0 ? 0 : 1;
}

bool Shots::shoot(const QString& page)
{
    for (const auto mode : m_themes) {
        m_theme->setMode(mode);
        // The palette arrives with the next events, the charts repaint on a timer.
        QTest::qWait(350);
        QWidget& window = m_driver->window();
        const QImage image = window.grab().toImage();
        const QString file = m_folder + u'/' + page + u'-' + desk::Theme::word(mode) + u".png"_s;
        if (!image.save(file))
            return fail(u"cannot write "_s + file);
        if (isBlank(image))
            fail(page + u" is blank"_s);
        for (const QString& text : clippedTexts(window))
            fail(page + u" clips "_s + text);
        std::printf("%s\n", qPrintable(file));
    }
    return true;
}

bool Shots::commit(const QString& row, const QString& word)
{
    return m_driver->click(u"reviewSheet.commit"_s, kWaitMs)
        && m_driver->waitFor(
            [&] { return m_driver->rowText(u"operationsTable"_s, row).startsWith(word); }, kWaitMs);
}

qsizetype Shots::ledgerLines() const
{
    const auto runs = QDir(m_profile.runsDir).entryList(QDir::Dirs | QDir::NoDotAndDotDot);
    QFile file(m_profile.runsDir + u'/' + runs.value(0) + u"/metrics.jsonl"_s);
    return file.open(QIODevice::ReadOnly) ? file.readAll().count('\n') : 0;
}

bool Shots::play()
{
    auto& driver = *m_driver;
    const auto save = [&](const QString& kind, const QString& name) {
        driver.press(u"Ctrl+Shift+S"_s);
        return driver.waitVisible(u"reviewSheet"_s, kWaitMs)
            && driver.choose(u"reviewSheet.kind"_s, kind)
            && driver.type(u"reviewSheet.name"_s, name)
            && driver.waitEnabled(u"reviewSheet.commit"_s, kWaitMs);
    };
    const auto select = [&](const QString& table, const QString& row) {
        return driver.clickRow(table, row) || fail(table + u" has no "_s + row);
    };
    const auto lines = [&](qsizetype count) {
        return driver.waitFor([&] { return ledgerLines() >= count; }, kWaitMs);
    };
    if (!driver.waitEnabled(u"firstRun.useLocal"_s, kWaitMs) || !shoot(u"first-run"_s)
        || !driver.click(u"firstRun.useLocal"_s, kWaitMs)
        || !driver.click(u"firstRun.startSample"_s, kWaitMs) || !lines(60))
        return fail(u"no training came up"_s);
    if (!save(u"base"_s, u"step-0060"_s) || !shoot(u"save-sheet"_s)
        || !commit(u"Save base step-0060"_s, u"saved"_s) || !lines(90)
        || !save(u"delta"_s, u"step-0090"_s) || !commit(u"Save delta step-0090"_s, u"saved"_s))
        return fail(u"saving failed"_s);
    if (!select(u"navigator"_s, u"Deployments"_s) || !driver.click(u"deployments.create"_s, kWaitMs)
        || !driver.type(u"reviewSheet.name"_s, u"eval"_s)
        || !commit(u"Create deployment"_s, u"created"_s))
        return fail(u"no deployment"_s);
    select(u"navigator"_s, u"Checkpoints"_s);
    if (!select(u"checkpointsTable"_s, u"step-0060"_s))
        return fail(u"the base is not listed"_s);
    driver.press(u"Ctrl+Shift+P"_s);
    if (!driver.waitEnabled(u"reviewSheet.commit"_s, kWaitMs) || !shoot(u"promote-sheet"_s)
        || !commit(u"Promote"_s, u"promoted"_s))
        return fail(u"promoting failed"_s);
    select(u"checkpointsTable"_s, u"step-0060"_s);
    driver.press(u"Ctrl+Shift+H"_s);
    if (!commit(u"Hotload step-0060"_s, u"loaded"_s) || !lines(130)
        || !save(u"delta"_s, u"step-0130"_s) || !commit(u"Save delta step-0130"_s, u"saved"_s))
        return fail(u"loading the base failed"_s);
    if (!select(u"checkpointsTable"_s, u"step-0130"_s))
        return fail(u"the delta is not listed"_s);
    driver.press(u"Ctrl+Shift+H"_s);
    if (!driver.waitEnabled(u"reviewSheet.commit"_s, kWaitMs) || !shoot(u"hotload-sheet"_s)
        || !commit(u"Hotload step-0130"_s, u"loaded"_s))
        return fail(u"loading the delta failed"_s);
    select(u"navigator"_s, u"Operations"_s);
    select(u"operationsPage.table"_s, u"Hotload step-0130"_s);
    if (!shoot(u"hotload-progress"_s))
        return false;
    select(u"navigator"_s, u"Checkpoints"_s);
    select(u"checkpointsTable"_s, u"step-0130"_s);
    driver.press(u"Ctrl+Shift+V"_s);
    if (!driver.waitVisible(u"verifyPage"_s, kWaitMs)
        || !driver.waitFor(
            [&] {
                return driver.find<desk::Band>(u"verifyPage.verdict"_s)
                    ->text()
                    .contains(u"Bit-exact"_s);
            },
            kWaitMs)
        || !shoot(u"verify-result"_s))
        return fail(u"verifying failed"_s);
    select(u"navigator"_s, u"Checkpoints"_s);
    select(u"checkpointsTable"_s, u"step-0130"_s);
    if (!shoot(u"checkpoints"_s))
        return false;
    select(u"navigator"_s, u"Deployments"_s);
    select(u"deploymentsTable"_s, u"eval"_s);
    shoot(u"deployments"_s);
    select(u"navigator"_s, u"Models"_s);
    shoot(u"models"_s);
    driver.press(u"Ctrl+N"_s);
    QTest::qWait(50);
    shoot(u"new-training"_s);
    driver.press(u"Esc"_s);
    select(u"navigator"_s, u"Jobs"_s);
    return lines(180) && shoot(u"main"_s);
}

void Shots::endProcesses() const
{
    const auto textOf = [](const QString& path) {
        QFile file(path);
        return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
    };
    for (const QString& run : QDir(m_profile.runsDir).entryList(QDir::Dirs | QDir::NoDotAndDotDot))
        if (const int pid = textOf(m_profile.runsDir + u'/' + run + u"/pid"_s).trimmed().toInt();
            pid > 0)
            ::kill(pid, SIGTERM);
    const QByteArray ready = textOf(m_profile.readyFile());
    const auto at = ready.indexOf("\"pid\":");
    if (at >= 0) {
        const int pid = ready.mid(at + 6, 12).split(',').value(0).split('}').value(0).toInt();
        if (pid > 0)
            ::kill(pid, SIGTERM);
    }
}

} // namespace

int main(int argc, char** argv)
{
    g_previousHandler = qInstallMessageHandler(countWarnings);
    QApplication application(argc, argv);
    QCommandLineParser parser;
    parser.setApplicationDescription(
        u"Renders every page of the real program as <page>-<theme>.png."_s);
    parser.addHelpOption();
    parser.addPositionalArgument(u"DIR"_s, u"Where the pictures go."_s);
    parser.addOption({ u"theme"_s, u"light, dark or both"_s, u"theme"_s, u"both"_s });
    parser.addOption({ u"size"_s, u"WxH"_s, u"size"_s, u"1440x900"_s });
    parser.process(application);
    const QStringList size = parser.value(u"size"_s).split(u'x');
    const QString theme = parser.value(u"theme"_s);
    QList<desk::Theme::Mode> themes;
    if (theme != u"dark"_s)
        themes << desk::Theme::Mode::Light;
    if (theme != u"light"_s)
        themes << desk::Theme::Mode::Dark;
    if (parser.positionalArguments().size() != 1 || size.size() != 2
        || !QStringList({ u"light"_s, u"dark"_s, u"both"_s }).contains(theme)
        || size.value(0).toInt() < 960 || size.value(1).toInt() < 600) {
        std::fprintf(stderr,
            "screenshots: one folder is needed, --theme is light, dark or both, and the size is at "
            "least 960x600.\n");
        return 2;
    }
    return Shots(parser.positionalArguments().first(), themes,
        { size.value(0).toInt(), size.value(1).toInt() })
        .run();
}
