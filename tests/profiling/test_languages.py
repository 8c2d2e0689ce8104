# ruff: noqa: RUF001 - words of other alphabets
"""Languages by script and small words, and unknown where unsure."""

import pytest

from kistack.profiling.languages import UNKNOWN, language_of, languages_of

TEXTS = {
    "en": "The cat sat on the mat and it was not amused by the dog that came to the door with a letter.",
    "de": "Die Katze saß auf der Matte und sie war nicht erfreut, als der Hund mit dem Brief an die Tür kam.",
    "fr": "Le chat est assis sur le tapis et il n'est pas content que le chien soit dans la maison.",
    "es": "El gato se sienta en la alfombra y no está contento con el perro que viene por la puerta con una carta.",
    "it": "Il gatto è sul tappeto e non è contento che il cane sia nella casa con una lettera per gli ospiti.",
    "pt": "O gato está sentado no tapete e não gosta do cachorro que veio com uma carta para os donos da casa.",
    "nl": "De kat zit op de mat en het is niet blij met de hond die aan de deur kwam met een brief van de buren.",
    "sv": "Katten satt på mattan och den var inte glad att hunden som kom till dörren hade ett brev med sig.",
    "pl": "Kot siedzi na macie i nie jest zadowolony, że pies przyszedł do drzwi z listem, bo to się nie zdarza.",
    "ru": "Кот сидит на коврике и не рад, что собака пришла к двери с письмом, и это для него не новость.",
    "ja": "猫はマットの上に座っていて、犬が来たので喜んでいません。",
    "zh": "猫坐在垫子上,它不高兴,因为狗来到门口。",
    "ko": "고양이는 매트 위에 앉아 있고 개가 문에 와서 기뻐하지 않았다.",
    "el": "Η γάτα κάθισε στο χαλί και δεν ήταν ευχαριστημένη με τον σκύλο.",
}


@pytest.mark.parametrize(("code", "text"), TEXTS.items())
def test_a_sentence_is_enough(code, text):
    assert language_of(text) == code


@pytest.mark.parametrize(
    "text",
    ["", "1.2.3 4.5", "lorem ipsum", "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu", "x = 1;"],
)
def test_unsure_is_unknown(text):
    assert language_of(text) == UNKNOWN


def test_shares_are_of_documents_the_most_frequent_first():
    found = languages_of([TEXTS["en"]] * 6 + [TEXTS["de"]] * 3 + ["1.2.3"])
    assert found == {"en": 0.6, "de": 0.3, UNKNOWN: 0.1}
    assert list(found) == ["en", "de", UNKNOWN]
    assert languages_of([]) == {}
