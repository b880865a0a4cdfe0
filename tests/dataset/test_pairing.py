"""Pairing, as tables of names."""

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from monai_mriprep.dataset.pairing import Pair, pair_by_stem, pair_names
from monai_mriprep.errors import DatasetError, PairingError

TABLE = {
    "equal stems": (["a", "b"], ["b", "a"], {"a": "a", "b": "b"}),
    "PANTHER's channel": (["10000_0001_0000"], ["10000_0001"], {"10000_0001_0000": "10000_0001"}),
    "the recipe's own example": (["10000_0001_xxx"], ["10000_0001_yyy"], {"10000_0001_xxx": "10000_0001_yyy"}),
    "leading numbers": (["10000_0001_t2w_ax"], ["10000_0001_seg"], {"10000_0001_t2w_ax": "10000_0001_seg"}),
    "one leading number is too few": (["10000_t2w_ax"], ["10000_seg"], {}),
    "two numbers never meet": (["BraTS_001", "BraTS_002"], ["BraTS_001"], {"BraTS_001": "BraTS_001"}),
    "two numbers never meet, alone": (["BraTS_002"], ["BraTS_001"], {}),
    "one number may": (["case_001"], ["case_seg"], {"case_001": "case_seg"}),
    "two patients of one hospital": (["hospital_P001"], ["hospital_P002"], {}),
    "two frames of one patient": (["patient001_frame01"], ["patient001_frame12"], {}),
    "numbers followed by letters": (["BraTS_002a", "CHAOS_01R"], ["BraTS_001b", "CHAOS_02R"], {}),
    "two patients of one month": (["2019_01_patientA_t2"], ["2019_01_patientB_seg"], {}),
    "two patients after leading numbers": (["2019_01_P001_ax"], ["2019_01_P002"], {}),
    "equal digits may meet": (["1_2_t2w"], ["1_2_seg2"], {"1_2_t2w": "1_2_seg2"}),
    "leading zeros are another number": (["a_x1"], ["a_y01"], {}),
    "a part of the series is kept in the label": (
        ["10000_0001_t2w_ax_tse"],
        ["10000_0001_t2w_ax_seg"],
        {"10000_0001_t2w_ax_tse": "10000_0001_t2w_ax_seg"},
    ),
    "the start of the series is kept in the label": (
        ["10000_0001_t2w_ax_tse"],
        ["10000_0001_t2w_seg"],
        {"10000_0001_t2w_ax_tse": "10000_0001_t2w_seg"},
    ),
    "another series": (["10000_0001_t2w_ax_tse"], ["10000_0001_adc_seg"], {}),
    "known suffixes of labels": (
        ["case_001", "case_002", "case_003", "case_004", "case_005"],
        ["case_001_seg", "case_002_gt", "case_003_label", "case_004_mask", "case_005.seg"],
        {
            "case_001": "case_001_seg",
            "case_002": "case_002_gt",
            "case_003": "case_003_label",
            "case_004": "case_004_mask",
            "case_005": "case_005.seg",
        },
    ),
    "a suffix that is not on the list": (["case"], ["case_truth"], {}),
    "a suffix alone is a name": (["a"], ["_seg"], {}),
    "the suffix goes before the token": (["a_1", "a_x"], ["a_1_seg", "a_y"], {"a_1": "a_1_seg", "a_x": "a_y"}),
    "one name, composed and decomposed": (["M\u00fcller_1"], ["Mu\u0308ller_1"], {"M\u00fcller_1": "Mu\u0308ller_1"}),
    "the same with another token": (["Mu\u0308_t2"], ["M\u00fc_seg"], {"Mu\u0308_t2": "M\u00fc_seg"}),
    "no token to drop": (["image"], ["label"], {}),
    "nothing before the token": (["_x"], ["_y"], {}),
    "an equal stem leaves the pool": (
        ["s_1", "s_1_0000", "s_seg"],
        ["s_1", "s_seg"],
        {"s_1": "s_1", "s_seg": "s_seg"},
    ),
    "the channel goes before the token": (
        ["1_2_0000", "1_2_t2"],
        ["1_2", "1_2_seg"],
        {"1_2_0000": "1_2", "1_2_t2": "1_2_seg"},
    ),
    "the token goes before the numbers": (
        ["1_2_a_x", "1_2_b"],
        ["1_2_a_y", "1_2_c"],
        {"1_2_a_x": "1_2_a_y", "1_2_b": "1_2_c"},
    ),
    "a channel has four digits": (["a_000"], ["a"], {}),
    "three digits are a patient": (["ab_001"], ["ab", "a"], {}),
    "five are one, too": (["ab_00001"], ["ab", "ab_0"], {}),
    "leading zeros count": (["0001_1_a_b"], ["1_1_c"], {}),
    "no images": ([], ["a"], {}),
}


@pytest.mark.parametrize(("images", "labels", "expected"), TABLE.values(), ids=TABLE)
def test_pairs(images, labels, expected):
    paired = pair_names(images, labels)

    assert dict(paired.pairs) == expected
    assert set(paired.images) == set(images) - set(expected)
    assert set(paired.labels) == set(labels) - set(expected.values())


AMBIGUOUS = {
    "two sequences of one study": (["1_2_t1", "1_2_t2"], ["1_2_seg"]),
    "two channels": (["1_2_0000", "1_2_0001"], ["1_2"]),
    "two labels": (["1_2_t1"], ["1_2_seg", "1_2_roi"]),
    "two numbers for one name": (["BraTS_001", "BraTS_002"], ["BraTS_seg"]),
    "two label suffixes": (["case_001"], ["case_001_seg", "case_001_gt"]),
    "two long names": (["1_2_t1_ax", "1_2_t2_cor"], ["1_2_seg"]),
}


@pytest.mark.parametrize(("images", "labels"), AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_two_claims_on_one_partner_name_all_claimants(images, labels):
    with pytest.raises(PairingError) as caught:
        pair_names(images, labels)

    for name in images + labels:
        assert repr(name) in str(caught.value)


def test_all_ambiguities_of_a_pass_are_named_at_once():
    with pytest.raises(PairingError, match=r"'a_seg'.*'b_seg'"):
        pair_names(["a_1", "a_2", "b_1", "b_2"], ["a_seg", "b_seg"])


def test_a_pattern_replaces_the_passes():
    paired = pair_names(["t2-7", "t2-8", "other"], ["seg-7-final", "seg-9"], r"-(?P<case>\d+)")

    assert paired.pairs == (("t2-7", "seg-7-final"),)
    assert paired.images == {"t2-8": ("8",), "other": ()}
    assert paired.labels == {"seg-9": ("9",)}


def test_a_pattern_may_be_ambiguous():
    with pytest.raises(PairingError, match="'a1', 'a2'"):
        pair_names(["a1", "a2"], ["a"], "(?P<case>a)")


def test_an_empty_case_matches_nothing():
    assert pair_names(["a"], ["b"], "(?P<case>x*)").pairs == ()


@pytest.mark.parametrize(("pattern", "problem"), [("(", "not a regular expression"), (r"(\d+)", "no group named case")])
def test_a_bad_pattern_is_refused(pattern, problem):
    with pytest.raises(PairingError, match=problem) as caught:
        pair_names(["a"], ["a"], pattern)

    assert repr(pattern) in str(caught.value)


stems = st.lists(
    st.lists(st.sampled_from(["1", "02", "0001", "a", "seg", ""]), min_size=1, max_size=4).map("_".join), unique=True
)


@given(stems, stems)
def test_nobody_is_paired_twice_or_lost(images, labels):
    try:
        paired = pair_names(images, labels)
    except PairingError:
        return

    assert sorted([image for image, _ in paired.pairs] + list(paired.images)) == sorted(images)
    assert sorted([label for _, label in paired.pairs] + list(paired.labels)) == sorted(labels)


numbered = st.lists(
    st.lists(st.sampled_from(["1", "02", "2", "P1", "P2", "t2w", "a", "seg", "0001"]), min_size=1, max_size=5).map(
        "_".join
    ),
    unique=True,
    max_size=6,
)


@given(numbered, numbered)
def test_a_pair_never_joins_different_digits(images, labels):
    """After the tokens that both share, one of the two names holds no digit, or both hold the same."""
    try:
        pairs = pair_names(images, labels).pairs
    except PairingError:
        return

    for image, label in pairs:
        tokens = image.split("_"), label.split("_")
        shared = next((n for n, (a, b) in enumerate(zip(*tokens, strict=False)) if a != b), min(map(len, tokens)))
        digits, others = (["".join(filter(str.isdigit, t)) for t in rest[shared:]] for rest in tokens)
        assert not any(digits) or not any(others) or list(filter(None, digits)) == list(filter(None, others))


@given(st.lists(st.sampled_from(["12", "P34", "t2", "a", "5R"]), min_size=1, max_size=5).map("_".join), st.data())
def test_two_names_that_differ_in_one_digit_never_pair(name, data):
    places = [place for place, letter in enumerate(name) if letter.isdigit()]
    assume(places)
    place = data.draw(st.sampled_from(places))
    other = name[:place] + ("9" if name[place] != "9" else "8") + name[place + 1 :]

    assert pair_names([name], [other]).pairs == ()


@given(stems, stems, st.randoms())
def test_the_order_of_the_names_does_not_matter(images, labels, random):
    def outcome(*names):
        try:
            return set(pair_names(*names).pairs)
        except PairingError:
            return "ambiguous"

    shuffled = random.sample(images, len(images)), random.sample(labels, len(labels))

    assert outcome(images, labels) == outcome(*shuffled)


@pytest.fixture
def folders(tmp_path):
    for folder, names in {
        "ImagesTr": ["1_2_t2.mha", "1_10_t2.nii.gz", "3_1_t2.mha"],
        "LabelsTr": ["1_2_seg.nii", "1_10_seg.mha", "9.mha"],
    }.items():
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    return tmp_path / "ImagesTr", tmp_path / "LabelsTr"


def test_pairs_are_a_sequence(folders):
    pairs = pair_by_stem(*folders).pairs
    assert list(pairs[1:]) == list(pairs)[1:]
    assert pairs[-1] == list(pairs)[-1]
    assert len(pairs[:1]) == 1
    with pytest.raises(IndexError):
        pairs[len(pairs)]


def test_pair_by_stem_gives_paths_in_natural_order(folders):
    images, labels = folders

    pairing = pair_by_stem(images, str(labels))

    expected = [
        Pair(images / "1_2_t2.mha", labels / "1_2_seg.nii"),
        Pair(images / "1_10_t2.nii.gz", labels / "1_10_seg.mha"),
    ]
    assert list(pairing) == expected
    assert (len(pairing), pairing[1], pairing[1].case) == (2, expected[1], "1_10_t2")


def test_an_orphan_says_which_file_and_which_keys(folders):
    pairing = pair_by_stem(*folders)

    (image,), (label,) = pairing.unpaired_images, pairing.unpaired_labels
    assert image.path.name == "3_1_t2.mha"
    assert image.key == "3_1"
    assert "'3_1_t2.mha' is skipped: no label" in image.reason
    assert "'3_1_t2', '3_1'" in image.reason
    assert "'9.mha' is skipped: no image" in label.reason


def test_an_orphan_of_a_pattern_names_the_pattern(folders):
    pairing = pair_by_stem(*folders, pattern=r"^(?P<case>1_\d+)")

    assert len(pairing) == 2
    assert "does not match" in pairing.unpaired_images[0].reason


def test_a_missing_folder_is_named(folders, tmp_path):
    with pytest.raises(DatasetError, match="nowhere"):
        pair_by_stem(folders[0], tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("dataset", "pairs", "orphans"), [("mixed", 8, ["20008_0001_t2star.mha"]), ("anisotropic", 3, [])]
)
def test_real_datasets(scans, dataset, pairs, orphans):
    pairing = pair_by_stem(scans / dataset / "ImagesTr", scans / dataset / "LabelsTr")

    assert len(pairing) == pairs
    assert [orphan.path.name for orphan in pairing.unpaired_images] == orphans
    assert pairing.unpaired_labels == ()
    assert all(pair.image.name[:10] == pair.label.name[:10] for pair in pairing)


CHANNELS = {
    r"^(?P<case>.+?)(_0000)?$": (["p_000_0000", "p_000_0001", "p_001_0000", "p_001_0001"], ["p_000", "p_001"]),
    r"^(?P<case>.+)_(t1|seg)$": (["B_00_t1", "B_00_t1ce", "B_01_t1", "B_01_t2"], ["B_00_seg", "B_01_seg"]),
}


@pytest.mark.parametrize("pattern", CHANNELS)
def test_a_pattern_picks_one_of_several_images_as_the_docs_say(pattern):
    images, labels = CHANNELS[pattern]
    with pytest.raises(PairingError, match=r"is claimed by 2 images.*takes one of them, such as '\^\(\?P<case>"):
        pair_names(images, labels)
    assert pair_names(images, labels, pattern).pairs == ((images[0], labels[0]), (images[2], labels[1]))
    assert f"`'{pattern}'`" in (Path(__file__).parents[2] / "docs/recipe.md").read_text(encoding="utf-8")
