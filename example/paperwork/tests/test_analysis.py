"""What the analysis says about known texts."""

from django.test import SimpleTestCase

from paperwork.documents.analysis import (
    STAGES,
    NothingToRead,
    Text,
    count,
    frequent_terms,
    guess_language,
    measure_sentences,
    score_readability,
)
from paperwork.documents.samples import SAMPLES


class CountTests(SimpleTestCase):
    def test_words_sentences_and_paragraphs(self) -> None:
        counts = count(Text("One two. Three don't!\n\nWell-known four, ONE."))
        assert counts["words"] == 7
        assert counts["different_words"] == 6
        assert counts["sentences"] == 3
        assert counts["paragraphs"] == 2

    def test_reading_time(self) -> None:
        assert count(Text("word " * 440))["reading_seconds"] == 120

    def test_a_text_without_words_is_refused(self) -> None:
        with self.assertRaisesMessage(NothingToRead, "no words"):
            count(Text("123 !!! 456"))


class SentenceTests(SimpleTestCase):
    def test_abbreviations_and_closing_quotes(self) -> None:
        text = Text('Dr. Smith asked: "Are you Mrs. Jones?" She was, e.g. Today. "No."')
        assert text.sentences == [
            'Dr. Smith asked: "Are you Mrs. Jones?"',
            "She was, e.g. Today.",
            '"No."',
        ]

    def test_lines_of_a_paragraph_are_joined(self) -> None:
        assert Text("One\ntwo three. Four").sentences == ["One two three.", "Four"]

    def test_longest_and_average(self) -> None:
        sentences = measure_sentences(Text("One. One two three. One two."))
        assert sentences["longest"] == "One two three."
        assert sentences["longest_words"] == 3
        assert sentences["average_words"] == 2
        assert sentences["rhythm"] == [1, 3, 2]

    def test_the_rhythm_of_a_long_text_is_shortened(self) -> None:
        rhythm = measure_sentences(Text("One. One two three. " * 500))["rhythm"]
        assert len(rhythm) == 60
        assert all(1 <= words <= 3 for words in rhythm)


class LanguageTests(SimpleTestCase):
    def test_the_samples(self) -> None:
        for sample in SAMPLES.values():
            with self.subTest(sample.title):
                assert guess_language(Text(sample.read()))["code"] == sample.language

    def test_other_languages(self) -> None:
        for code, text in {
            "es": "En un lugar de la Mancha, de cuyo nombre no quiero acordarme.",
            "it": "Nel mezzo del cammin di nostra vita mi ritrovai per una selva.",
            "nl": "Ik ben makelaar in koffie en woon op de Lauriergracht.",
            "pt": "Uma noite destas, vindo da cidade para o Engenho Novo.",
        }.items():
            with self.subTest(code):
                assert guess_language(Text(text))["code"] == code

    def test_a_list_of_names_is_no_language(self) -> None:
        guess = guess_language(Text("Alpha Bravo Charlie Delta Echo Foxtrot"))
        assert guess == {"code": None, "name": "Not sure"}


class TermTests(SimpleTestCase):
    def test_common_words_are_left_out(self) -> None:
        terms = frequent_terms(Text("The whale and the ship. A whale and a whale."))
        assert terms == [{"term": "whale", "count": 3}, {"term": "ship", "count": 1}]

    def test_spellings_and_apostrophes(self) -> None:
        text = "The Berlin of the sea. Berlin's sea, and the berlin sea and BERLIN."
        assert frequent_terms(Text(text))[0] == {"term": "Berlin", "count": 4}

    def test_contractions_are_no_terms(self) -> None:
        assert frequent_terms(Text("They couldn\u2019t, and we wouldn't.")) == []


class ReadabilityTests(SimpleTestCase):
    def test_lix(self) -> None:
        # Five words in one sentence, one of them long: 5 + 100 / 5.
        readability = score_readability(Text("The cat sat there yesterday."))
        assert readability["score"] == 25
        assert readability["level"].startswith("Very easy")

    def test_the_top_of_the_scale(self) -> None:
        level = score_readability(Text("Incomprehensibility notwithstanding."))["level"]
        assert level.startswith("Very difficult")


class StageTests(SimpleTestCase):
    def test_every_stage_takes_any_text_with_a_word(self) -> None:
        for raw in ("a", "x" * 200_000, "\u6587\u5b57", "a. " * 60_000, "\n\na\n\n"):
            for stage in STAGES:
                with self.subTest(stage.name, text=raw[:10]):
                    stage.run(Text(raw))
