"""Find the role of a column from its name, with known words in many languages.

The words are in lower case, without accents. In a name of several words, one known word is enough.
"""

import re
import unicodedata

WORDS = {
    "id": """
        id nr no number num key uuid guid identifier ref reference ticket case kennung
        nummer schlussel lfdnr numero identifiant clave codigo identificador chiave
        identificativo chave sleutel numer номер идентификатор код 编号 序号 番号 번호 아이디
    """,
    "text": """
        text comment comments review reviews feedback message verbatim body remark answer
        response opinion post tweet complaint description narrative kommentar kommentare
        bewertung rezension kundenstimme nachricht ruckmeldung meinung freitext beschwerde
        antwort comentario comentarios resena mensaje queja respuesta texto commentaire
        commentaires avis texte reclamation reponse commento commenti recensione opinione
        messaggio testo risposta opiniao avaliacao mensagem resposta opmerking beoordeling
        bericht tekst klacht komentarz opinia recenzja wiadomosc отзыв отзывы комментарий
        текст сообщение 评论 评价 文本 内容 反馈 正文 レビュー コメント 本文 感想 리뷰 댓글 내용 후기
    """,
    "content": """
        content segment quote span excerpt passage sentence zitat textstelle ausschnitt satz
        fragmento cita frase extrait citation phrase segmento citazione estratto trecho
        fragment citaat cytat фрагмент цитата 片段 引用 세그먼트 セグメント
    """,
    "levels": """
        product produkt producto produit prodotto produto detail detalle dettaglio detalhe area bereich
        label labels category categories topic topics theme class tag tags subject level
        aspect issue reason subcategory subtopic kategorie kategorien unterkategorie
        oberkategorie thema themen unterthema klasse ebene schlagwort aspekt grund categoria
        categorias subcategoria tema temas etiqueta nivel clase motivo categorie
        souscategorie themes sujet niveau etiquette classe motif sottocategoria argomento
        livello etichetta assunto subcategorie onderwerp kategoria podkategoria temat
        категория подкатегория тема метка класс уровень 类别 分类 标签 主题 类目 カテゴリ カテゴリー ラベル 分類
        トピック 분류 카테고리 라벨 주제
    """,
    "emotion": """
        emotion emotions mood sentiment feeling polarity tone gefuhl stimmung emocion
        sentimiento animo humeur emozione sentimento umore emocao humor emotie stemming
        emocja nastroj эмоция настроение тональность 情绪 情感 感情 감정 기분
    """,
    "lang": """
        lang language locale sprache idioma langue lingua taal jezyk язык 语言 言語 언어
    """,
    "split": """
        split partition subset aufteilung particion
    """,
    "weight": """
        weight gewicht peso poids waga вес 权重 重み 가중치
    """,
}
ROLE_BY_WORD = {word: role for role, words in WORDS.items() for word in words.split()}
LEVEL = re.compile(r"(?:l|level|ebene|nivel|niveau|livello|niveau|stufe|label|category|kategorie|e)[ _-]?([1-9])")
# Words that mean an id only if no other word of the name is known.
AMBIGUOUS = {
    "ticket",
    "case",
    "ref",
    "reference",
    "number",
    "numero",
    "nummer",
    "code",
}
COMPOUND_ENDS = [word for word in ROLE_BY_WORD if len(word) >= 5]  # ends of compound words, such as Kundenkommentar
# Words in Chinese, Japanese and Korean: they are found anywhere in a name, which may have no spaces.
UNSPACED_WORDS = [word for word in ROLE_BY_WORD if any("\u3040" <= letter <= "\uffdc" for letter in word)]


def normalize_name(name: str) -> str:
    """Return a column name in lower case, without accents, with spaces between its words.

    >>> normalize_name("Unter-Kategorie / Größe"), normalize_name("ReviewText")
    ('unter kategorie große', 'review text')
    """
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    letters = unicodedata.normalize("NFD", name.casefold())
    base_letters = "".join(letter for letter in letters if not "\u0300" <= letter <= "\u036f")
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFC", base_letters).replace("_", " ")))


def find_role(name: str) -> str | None:
    """Return the role of a column with this name; None if no word is known."""
    words = normalize_name(name)
    if LEVEL.fullmatch(words):
        return "levels"
    joined = words.replace(" ", "")
    if joined in ROLE_BY_WORD:
        return ROLE_BY_WORD[joined]
    known = [word for word in words.split() if word in ROLE_BY_WORD]
    known += [word for word in UNSPACED_WORDS if word in words]
    known += [end for word in words.split() for end in COMPOUND_ENDS if len(word) > len(end) and word.endswith(end)]
    roles = [ROLE_BY_WORD[word] for word in known if word not in AMBIGUOUS] or [ROLE_BY_WORD[word] for word in known]
    for role in ("id", "lang", "split", "weight", "emotion", "content", "levels", "text"):  # "comment id" is an id
        if role in roles:
            return role
    return None


def parse_level_number(name: str) -> int | None:
    """Return the level in a name such as `L2` or `Level 2`; None if there is none."""
    match = LEVEL.fullmatch(normalize_name(name))
    return int(match[1]) if match else None
