// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/widgets/code_block.h"

#include "ui/style/fonts.h"
#include "ui/style/paint.h"
#include "ui/style/tokens.h"

#include <QEvent>
#include <QPainter>
#include <QSyntaxHighlighter>
#include <QTextBlock>
#include <QTextEdit>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    // Strings in one color, the first word of the text (curl, POST) in another. Runs over blocks as
    // they are laid out, so a long JSON text costs nothing at once.
    class CodeHighlighter final : public QSyntaxHighlighter
    {
    public:
        using QSyntaxHighlighter::QSyntaxHighlighter;

    protected:
        void highlightBlock(const QString& text) override
        {
            QTextCharFormat strings;
            strings.setForeground(tokens().codeString);
            bool isInString = false;
            qsizetype start = 0;
            for (qsizetype i = 0; i < text.size(); ++i) {
                if (text[i] == u'\\' && isInString) {
                    ++i;
                } else if (text[i] == u'"') {
                    if (isInString)
                        setFormat(
                            static_cast<int>(start), static_cast<int>(i - start + 1), strings);
                    start = i;
                    isInString = !isInString;
                }
            }
            if (currentBlock().blockNumber() > 0 || text.isEmpty() || !text[0].isLetter())
                return;
            QTextCharFormat verb;
            verb.setForeground(tokens().codeKeyword);
            const qsizetype space = text.indexOf(u' ');
            setFormat(0, static_cast<int>(space < 0 ? text.size() : space), verb);
        }
    };

} // namespace

CodeBlock::CodeBlock(const QString& accessibleName, QWidget* parent)
    : QFrame(parent)
    , m_edit(new QTextEdit(this))
{
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(px(9), px(6), px(9), px(6));
    column->addWidget(m_edit);
    m_edit->setReadOnly(true);
    m_edit->setAcceptRichText(false);
    m_edit->setFrameShape(QFrame::NoFrame);
    m_edit->setLineWrapMode(QTextEdit::NoWrap);
    m_edit->setTabChangesFocus(true);
    m_edit->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    m_edit->setAccessibleName(accessibleName);
    m_edit->setFont(fontOf(Face::Mono));
    m_edit->document()->setDocumentMargin(px(2));
    new CodeHighlighter(m_edit->document());
}

void CodeBlock::setCode(const QString& code)
{
    if (code == m_edit->toPlainText())
        return;
    m_edit->setPlainText(code);
    fit();
}

QString CodeBlock::code() const
{
    return m_edit->toPlainText();
}

void CodeBlock::setFitsLines(bool fits, int maxLines)
{
    m_maxLines = fits ? maxLines : 0;
    fit();
}

void CodeBlock::fit()
{
    if (m_maxLines <= 0)
        return;
    const int lines = std::clamp(m_edit->document()->blockCount(), 1, m_maxLines);
    // The document knows its real line height; a long line brings a scroll bar of its own.
    const qreal lineHeight =
        m_edit->document()->size().height() / std::max(1, m_edit->document()->blockCount());
    const bool isWide = m_edit->document()->idealWidth() > std::max(width(), px(480)) - px(24);
    setFixedHeight(qCeil(lines * std::max(lineHeight, QFontMetricsF(m_edit->font()).lineSpacing()))
        + px(20) + (isWide ? px(12) : 0));
}

void CodeBlock::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    roundBox(painter, rect(), 4, tokens().surface, tokens().hairline);
}

void CodeBlock::changeEvent(QEvent* event)
{
    if (event->type() == QEvent::PaletteChange)
        highlight();
    QFrame::changeEvent(event);
}

void CodeBlock::highlight()
{
    if (!m_edit)
        return;
    if (auto* highlighter = m_edit->document()->findChild<QSyntaxHighlighter*>())
        highlighter->rehighlight();
}

} // namespace desk
