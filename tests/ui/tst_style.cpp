// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/style/desk_style.h"
#include "ui/style/fonts.h"
#include "ui/style/glyphs.h"
#include "ui/style/icons.h"
#include "ui/style/paint.h"
#include "ui/style/spans.h"
#include "ui/style/tab_text.h"
#include "ui/style/theme.h"
#include "ui/style/tokens.h"
#include "ui/widgets/buttons.h"

#include <QApplication>
#include <QCheckBox>
#include <QComboBox>
#include <QDirIterator>
#include <QFocusFrame>
#include <QLineEdit>
#include <QMenu>
#include <QProgressBar>
#include <QPushButton>
#include <QRadioButton>
#include <QScrollBar>
#include <QSlider>
#include <QSpinBox>
#include <QTabBar>
#include <QVBoxLayout>
#include <QtTest>

#include <cmath>

using namespace Qt::StringLiterals;
using namespace desk;

Q_DECLARE_METATYPE(desk::Tokens)

class StyleTest : public QObject
{
    Q_OBJECT

private:
    std::unique_ptr<Theme> m_theme;

    static QWidget* makeControls()
    {
        auto* page = new QWidget;
        auto* column = new QVBoxLayout(page);
        QPushButton* commit = makeButton(u"Promote as step-400"_s);
        setCommit(commit, true);
        QPushButton* cancel = makeButton(u"Cancel"_s);
        setKeyCap(cancel, u"Esc"_s);
        QPushButton* off = makeButton(u"Save checkpoint…"_s);
        off->setEnabled(false);
        auto* combo = new QComboBox;
        combo->addItems({ u"step"_s, u"wall"_s });
        auto* edit = new QLineEdit(u"math-8b-grpo-step-400"_s);
        edit->setObjectName(u"edit"_s);
        auto* check = new QCheckBox(u"Reset the prompt cache"_s);
        check->setChecked(true);
        auto* radio = new QRadioButton(u"delta"_s);
        radio->setChecked(true);
        auto* slider = new QSlider(Qt::Horizontal);
        slider->setValue(60);
        auto* bar = new QProgressBar;
        bar->setTextVisible(false);
        bar->setFixedHeight(4);
        bar->setValue(40);
        auto* scroll = new QScrollBar(Qt::Horizontal);
        QTabBar* tabs = makeTabBar({ u"Charts"_s, u"Checkpoints\t8"_s }, u"Pages"_s, true, 28);
        for (QWidget* widget : { static_cast<QWidget*>(commit), static_cast<QWidget*>(cancel),
                 static_cast<QWidget*>(off), static_cast<QWidget*>(combo),
                 static_cast<QWidget*>(edit), static_cast<QWidget*>(check),
                 static_cast<QWidget*>(radio), static_cast<QWidget*>(slider),
                 static_cast<QWidget*>(bar), static_cast<QWidget*>(scroll),
                 static_cast<QWidget*>(tabs), static_cast<QWidget*>(new QSpinBox) })
            column->addWidget(widget);
        return page;
    }

private Q_SLOTS:
    void initTestCase() { m_theme = std::make_unique<Theme>(Theme::Mode::Light); }

    void contrast_data()
    {
        QTest::addColumn<bool>("isDark");
        QTest::addRow("light") << false;
        QTest::addRow("dark") << true;
    }
    // The promises of ui.md sections 3.4 to 3.6.
    void contrast()
    {
        QFETCH(bool, isDark);
        const Tokens& t = isDark ? darkTokens() : lightTokens();
        for (const QColor& ground : { t.window, t.surface, t.surface2 }) {
            QVERIFY(contrastRatio(t.text, ground) >= 10);
            QVERIFY(contrastRatio(t.text2, ground) >= 4.5);
            QVERIFY(contrastRatio(t.accent, ground) >= 4.5);
        }
        QVERIFY(contrastRatio(t.onAccent, t.accent) >= 4.5);
        QVERIFY(contrastRatio(t.selectionText, t.selection) >= 7);
        QVERIFY(contrastRatio(t.selectionText2, t.selection) >= 4.5);
        QVERIFY(contrastRatio(t.text, t.baseline) >= 10);
        QVERIFY(contrastRatio(t.border, t.surface) >= 3);
        QVERIFY(contrastRatio(t.crosshair, t.surface) >= 5.9);
        for (const StatusColors& status :
            { t.running, t.waiting, t.busy, t.good, t.attention, t.failed }) {
            QVERIFY(contrastRatio(status.ink, status.tint) >= 4.5);
            QVERIFY(contrastRatio(status.ink, t.surface) >= 4.5);
        }
        for (const QColor& series : t.series)
            QVERIFY2(contrastRatio(series, t.surface) >= 3, qPrintable(series.name()));
        QVERIFY(contrastRatio(t.codeString, t.surface) >= 4.5);
        QVERIFY(contrastRatio(t.codeKeyword, t.surface) >= 4.5);
        for (std::size_t a = 0; a < t.series.size(); ++a) {
            for (std::size_t b = a + 1; b < t.series.size(); ++b)
                QVERIFY(t.series[a] != t.series[b]);
        }
    }
    void contrastRatio_ofBlackOnWhite_is21()
    {
        QCOMPARE(qRound(contrastRatio(Qt::black, Qt::white) * 10), 210);
        QCOMPARE(contrastRatio(Qt::red, Qt::red), 1.0);
    }
    void palette_carriesTheTokens()
    {
        const QPalette p = makePalette(darkTokens());
        QCOMPARE(p.color(QPalette::Window), QColor(0x16, 0x19, 0x1F));
        QCOMPARE(p.color(QPalette::Inactive, QPalette::Highlight), QColor(0x2A, 0x44, 0x70));
        QCOMPARE(p.color(QPalette::Disabled, QPalette::Text), QColor(0x6F, 0x7A, 0x8C));
    }
    void seriesColor_wrapsAndKeepsTheBaseline()
    {
        QCOMPARE(seriesColor(8), seriesColor(1));
        QCOMPARE(seriesColor(-1), seriesColor(6));
        QCOMPARE(seriesColor(7), tokens().series[7]);
    }

    void font_isTrueType()
    {
        QVERIFY(!uiFamily().isEmpty());
        QVERIFY(!isCffFont(fontOf(Face::Body)));
        QVERIFY(fontScale() >= 1);
        QCOMPARE(fontOf(Face::Body).pixelSize(), px(13));
    }
    void tabularDigits_haveOneWidth()
    {
        for (const Face which : { Face::Body, Face::Second, Face::Tile, Face::BadgeLight }) {
            const qreal one = tabularWidth(which, u"1"_s);
            for (QChar digit = u'0'; digit <= u'9'; digit = QChar(digit.unicode() + 1))
                QVERIFY(std::abs(tabularWidth(which, QString(digit)) - one) < 0.02);
            QVERIFY(
                std::abs(tabularWidth(which, u"1,111"_s) - tabularWidth(which, u"8,888"_s)) < 0.1);
        }
    }
    void drawTabular_putsTheLastDigitAtTheSameColumn()
    {
        const auto rightEdge = [](const QString& text) {
            QImage image(120, 30, QImage::Format_RGB32);
            image.fill(Qt::white);
            QPainter painter(&image);
            drawTabular(
                painter, { 110 - tabularWidth(Face::Body, text), 20 }, Face::Body, text, Qt::black);
            painter.end();
            for (int x = image.width() - 1; x >= 0; --x) {
                for (int y = 0; y < image.height(); ++y) {
                    if (qGray(image.pixel(x, y)) < 128)
                        return x;
                }
            }
            return -1;
        };
        QVERIFY(std::abs(rightEdge(u"13,118"_s) - rightEdge(u"8"_s)) <= 1);
    }

    void spans_parseMarkup()
    {
        const Spans spans = parseSpans(u"<!good><.6><b>step-400</><s> of <m>job<#>12");
        QCOMPARE(spans.size(), 6U);
        QCOMPARE(spans[0].kind, Span::Kind::Glyph);
        QCOMPARE(spans[2].face, Face::Bold);
        QCOMPARE(spans[3].tone, Tone::Secondary);
        QCOMPARE(spans[4].face, Face::Mono);
        QVERIFY(spans[5].isTabular);
        QCOMPARE(spanText(spans), u"step-400 of job12"_s);
    }
    void spans_textFromOutsideIsNeverMarkup_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addRow("bold") << u"<b>name"_s;
        QTest::addRow("glyph") << u"a<!fail>b"_s;
        QTest::addRow("less") << u"a < b"_s;
        QTest::addRow("doubled") << u"<<b>>"_s;
        QTest::addRow("end") << u"x<"_s;
        QTest::addRow("close") << u"</>"_s;
    }
    void spans_textFromOutsideIsNeverMarkup()
    {
        QFETCH(QString, text);
        const Spans spans = parseSpans(spanEscaped(text));
        QCOMPARE(spanText(spans), text);
        for (const Span& span : spans)
            QCOMPARE(span.kind, Span::Kind::Text);
    }
    void spans_lineBreaksBecomeSpaces() { QCOMPARE(spanEscaped(u"a\nb\tc"), u"a b c"_s); }
    void spans_unknownTagsAreText()
    {
        QCOMPARE(spanText(parseSpans(u"x <page> y")), u"x <page> y"_s);
    }

    void tabText_isSplitAtTheTab()
    {
        QCOMPARE(splitTabText(u"All\t34"_s).count, u"34"_s);
        QCOMPARE(splitTabText(u"All"_s).name, u"All"_s);
    }

    void icons_areAllDrawn()
    {
        const QStringList names = iconNames();
        QVERIFY(names.size() > 30);
        for (const QString& name : names) {
            const QImage image = icon(name).pixmap(16, 16).toImage();
            bool hasInk = false;
            for (int y = 0; y < image.height() && !hasInk; ++y) {
                for (int x = 0; x < image.width() && !hasInk; ++x)
                    hasInk = qAlpha(image.pixel(x, y)) > 100;
            }
            QVERIFY2(hasInk, qPrintable(name));
        }
        QVERIFY(applicationIcon().availableSizes().contains(QSize(16, 16)));
    }
    void glyphs_haveDifferentShapes()
    {
        QList<QImage> seen;
        for (int g = int(Glyph::Run); g <= int(Glyph::Worse); ++g) {
            QImage image(28, 28, QImage::Format_ARGB32);
            image.fill(Qt::transparent);
            QPainter painter(&image);
            drawGlyph(painter, Glyph(g), QRectF(0, 0, 28, 28), Qt::black);
            painter.end();
            QVERIFY(!seen.contains(image));
            seen.append(image);
        }
    }

    void hline_isOneDevicePixelAtAnyScale_data()
    {
        QTest::addColumn<double>("ratio");
        QTest::addRow("1") << 1.0;
        QTest::addRow("1.25") << 1.25;
        QTest::addRow("1.5") << 1.5;
        QTest::addRow("2") << 2.0;
    }
    void hline_isOneDevicePixelAtAnyScale()
    {
        QFETCH(double, ratio);
        QImage image(QSizeF(40 * ratio, 40 * ratio).toSize(), QImage::Format_RGB32);
        image.setDevicePixelRatio(ratio);
        image.fill(Qt::white);
        QPainter painter(&image);
        hline(painter, 0, 40, 17, Qt::black);
        painter.end();
        int dark = 0;
        for (int y = 0; y < image.height(); ++y) {
            const int gray = qGray(image.pixel(10, y));
            QVERIFY(gray == 0 || gray == 255);
            dark += gray == 0 ? 1 : 0;
        }
        QCOMPARE(dark, 1);
    }

    void themeSwitch_lightDarkLight_isPixelIdentical()
    {
        const std::unique_ptr<QWidget> page(makeControls());
        page->resize(300, 420);
        page->show();
        QVERIFY(QTest::qWaitForWindowExposed(page.get()));
        QTest::qWait(30);
        const QImage before = page->grab().toImage();
        m_theme->setMode(Theme::Mode::Dark);
        QTest::qWait(30);
        const QImage dark = page->grab().toImage();
        m_theme->setMode(Theme::Mode::Light);
        QTest::qWait(30);
        QVERIFY(dark != before);
        QCOMPARE(page->grab().toImage(), before);
    }
    void theme_knowsItsWords()
    {
        QCOMPARE(Theme::fromWord(u"dark"_s), Theme::Mode::Dark);
        QCOMPARE(Theme::fromWord(u"nonsense"_s), Theme::Mode::System);
        QCOMPARE(Theme::word(Theme::Mode::Light), u"light"_s);
    }
    void theme_tellsAboutASwitch()
    {
        QSignalSpy spy(m_theme.get(), &Theme::changed);
        m_theme->setMode(Theme::Mode::Dark);
        QCOMPARE(spy.count(), 1);
        QCOMPARE(spy[0][0].toBool(), true);
        QVERIFY(tokens().isDark);
        m_theme->setMode(Theme::Mode::Light);
        QVERIFY(!tokens().isDark);
    }

    void focusRing_comesWithTheKeyboardAndLeavesWithIt()
    {
        const std::unique_ptr<QWidget> page(makeControls());
        page->show();
        page->activateWindow();
        QVERIFY(QTest::qWaitForWindowActive(page.get()));
        auto* button = page->findChild<QPushButton*>();
        button->setFocus(Qt::MouseFocusReason);
        const auto isRinged = [&](QWidget* widget) {
            const auto frames = page->window()->findChildren<QFocusFrame*>();
            return std::any_of(frames.begin(), frames.end(),
                [&](const QFocusFrame* frame) { return frame->widget() == widget; });
        };
        QVERIFY(!isRinged(button));
        auto* edit = page->findChild<QLineEdit*>(u"edit"_s);
        edit->setFocus(Qt::MouseFocusReason);
        QVERIFY(isRinged(edit));
        button->setFocus(Qt::TabFocusReason);
        QVERIFY(isRinged(button));
        QVERIFY(!isRinged(edit));
    }

    // A wide polyline of noisy data costs seconds; a style sheet costs every widget.
    void sources_haveNoPolylineAndNoStyleSheet()
    {
        QDirIterator it(QStringLiteral(DESK_SOURCE_DIR) + u"/ui"_s, { u"*.cpp"_s, u"*.h"_s },
            QDir::Files, QDirIterator::Subdirectories);
        int files = 0;
        while (it.hasNext()) {
            QFile file(it.next());
            QVERIFY(file.open(QFile::ReadOnly));
            const QByteArray text = file.readAll();
            ++files;
            QVERIFY2(!text.contains("drawPolyline("), qPrintable(file.fileName()));
            QVERIFY2(!text.contains("setStyleSheet("), qPrintable(file.fileName()));
            QVERIFY2(!text.contains("setUseOpenGL("), qPrintable(file.fileName()));
        }
        QVERIFY(files > 20);
    }
    void menu_selectedRowShowsItsText()
    {
        QMenu menu;
        QAction* first = menu.addAction(u"Promote…"_s);
        menu.addSeparator();
        menu.addAction(u"Delete"_s)->setEnabled(false);
        menu.popup({ 0, 0 });
        menu.setActiveAction(first);
        QTest::qWait(20);
        const QImage image = menu.grab().toImage();
        const QRect row = menu.actionGeometry(first);
        int ink = 0;
        for (int y = row.top(); y < row.bottom(); ++y) {
            for (int x = row.left() + 20; x < row.right(); ++x)
                ink += qGray(image.pixel(x, y)) < 100 ? 1 : 0;
        }
        QVERIFY(ink > 30);
        QCOMPARE(QColor(image.pixel(row.right() - 4, row.center().y())), tokens().selection);
    }
};

QTEST_MAIN(StyleTest)
#include "tst_style.moc"
