"""Readers of other people's formats, on small files laid out as upstream lays them out."""

from __future__ import annotations

import gzip
import json
import lzma
from typing import ClassVar

import pytest

from fuserec.data.readers import FORMATS, read
from fuserec.errors import DataError

T = 1_000_000_000


@pytest.fixture
def put(tmp_path):
    def write(files: dict[str, str | bytes]):
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            data = (
                gzip.compress(data)
                if name.endswith(".gz")
                else lzma.compress(data)
                if name.endswith(".xz")
                else data
            )
            (tmp_path / name).write_bytes(data)
        return tmp_path

    return write


def test_every_format_has_its_reader():
    from importlib import import_module

    for target in FORMATS.values():
        module, _, function = target.partition(":")
        assert callable(getattr(import_module(module), function))


class TestMovieLens:
    FLAGS = "|".join("0001100000000000000")

    def hundred(self, put, suffix=""):
        return put(
            {
                f"u.data{suffix}": f"1\t1\t5\t{T}\n2\t2\t3\t{T + 1}\n1\t2\t1\t{T + 2}\n",
                f"u.item{suffix}": f"1|Toy Story (1995)|01-Jan-1995||http://x/1|{self.FLAGS}\n".encode()
                + f"2|Misérables, Les (1995)|||http://x/2|{self.FLAGS}\n".encode("latin-1"),
                f"u.user{suffix}": "1|24|M|technician|01234\n2|53|F|other|94043\n3|20|F|other|94043\n",
                f"u1.base{suffix}": f"1\t1\t5\t{T}\n",
                f"u1.test{suffix}": f"2\t2\t3\t{T + 1}\n",
            }
        )

    @pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
    def test_100k(self, put, suffix):
        data, report = read(self.hundred(put, suffix), "movielens")
        assert data.users.ids() == ["1", "2", "3"]
        assert data.interactions.rating.tolist() == [5.0, 1.0, 3.0]
        assert data.interactions.time.tolist() == [T, T + 2, T + 1]
        first, second = data.item_table.to_dicts()
        assert first["title"] == "Toy Story (1995)"
        assert first["categories"] == ["Animation", "Children's"]
        assert (first["year"], first["release_date"]) == (1995, "01-Jan-1995")
        assert second["title"] == "Misérables, Les (1995)"
        assert report.count("latin-1") == 1
        assert data.user_table["zip_code"].to_list() == ["01234", "94043", "94043"]
        assert data.user_table["age"].to_list() == [24, 53, 20]
        assert data.info.rating_scale == (1.0, 5.0)
        assert "GroupLens" in data.info.licence

    def test_folds_share_their_vocabularies(self, put):
        folder = self.hundred(put)
        base, test = (read(folder / f"u1.{part}", "movielens")[0] for part in ("base", "test"))
        assert base.n_interactions == test.n_interactions == 1
        assert base.users.ids() == test.users.ids()
        assert base.items.ids() == test.items.ids()
        assert base.interactions.weight[0] == 1.0

    def test_1m(self, put):
        folder = put(
            {
                "ratings.dat": f"1::10::5::{T}\n2::20::4::{T + 1}\n2::99::4::{T + 2}\n",
                "movies.dat": "10::Heat: a::b (1995)::Action|Crime\n20::Seven (Se7en) (1995)::Crime\n10::x\n",
                "users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n",
            }
        )
        # a separator inside a title makes its row ragged: said, not guessed
        data, report = read(folder, "movielens")
        assert report.count("ragged row") == 2
        assert data.item_table["title"].to_list() == ["Seven (Se7en) (1995)"]
        assert report.count("does not list") == 2
        assert data.user_table["occupation"].to_list() == ["K-12 student", "self-employed"]
        assert data.user_table["gender"].to_list() == ["F", "M"]

    def test_latest_with_tags(self, put):
        folder = put(
            {
                "ratings.csv": f"userId,movieId,rating,timestamp\n1,10,4.5,{T}\n2,20,0.5,{T + 1}\n",
                "movies.csv": 'movieId,title,genres\n10,"Heat, The (1995)",Action|Crime\n'
                "20,Odd,(no genres listed)\n",
                "tags.csv": "userId,movieId,tag,timestamp\n1,10,Funny,1\n2,10,dark,1\n3,10,funny,2\n",
            }
        )
        data, _ = read(folder, "movielens")
        assert data.item_table["title"].to_list() == ["Heat, The (1995)", "Odd"]
        assert data.item_table["categories"].to_list() == [["Action", "Crime"], []]
        assert data.item_table["tags"].to_list() == [["funny", "dark"], []]
        assert data.item_table["year"].to_list() == [1995, None]
        assert data.info.rating_scale == (0.5, 5.0)

    def test_without_ratings_it_names_what_there_is(self, put):
        with pytest.raises(DataError, match=r"no u\.data.*it holds sequences\.txt: use --format sequences"):
            read(put({"sequences.txt.xz": "1 2 3\n", "movies.dat": "2::A (1990)::Drama\n"}), "movielens")

    def test_a_file_of_another_layout(self, put):
        with pytest.raises(DataError, match="no line reads 'user_id::item_id::rating::timestamp'"):
            read(put({"ratings.dat": "1,2,3,4\n"}), "movielens")


class TestSequences:
    ITEMS = "\n".join(
        json.dumps(row)
        for row in (
            {"id": 0, "asin": "B0", "title": "Zero &amp; one", "categories": [["Beauty", "Nails"]]},
            {"id": 1, "asin": "B1", "title": "One", "categories": [["Beauty", "Hair"], ["Sale"]]},
            {"id": 2, "asin": "B2", "title": "Two", "categories": []},
        )
    )

    @pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
    def test_order_is_the_order_of_the_line(self, put, suffix):
        folder = put({f"sequential_data.txt{suffix}": "7 2 0 2\n5 1\n", f"items.jsonl{suffix}": self.ITEMS})
        data, report = read(folder, "sequences")
        assert data.users.ids() == ["7", "5"]
        assert data.items.ids() == ["0", "1", "2"]
        assert data.interactions.item.tolist() == [2, 0, 2, 1]  # an item may come again
        assert not data.has_time
        assert data.item_table.columns == ["title", "categories", "asin"]
        assert data.item_table["title"][0] == "Zero & one"
        assert data.item_table["categories"].to_list() == [
            ["Beauty", "Nails"],
            ["Beauty", "Hair", "Sale"],
            [],
        ]
        assert report.count("duplicate") == 0

    def test_the_key_is_the_column_that_names_most_items(self, put):
        folder = put({"user_sequence_asin.txt": "A1 B1 B2\nA2 B2\n", "items.jsonl": self.ITEMS})
        data, _ = read(folder, "sequences")
        assert data.items.ids() == ["B0", "B1", "B2"]
        assert data.item_table["id"].to_list() == [0, 1, 2]

    def test_movies_and_users_beside_it_or_given(self, put, tmp_path):
        folder = put(
            {"sequences.txt": "1 10 20\n2 20\n", "users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n"}
        )
        (tmp_path / "elsewhere").mkdir()
        movies = tmp_path / "elsewhere" / "movies.dat"
        movies.write_bytes(
            "10::Été (1995)::Drama\n20::Heat (1995)::Action|Crime\n30::X (1999)::War\n".encode("latin-1")
        )
        for data, report in (
            read(folder, "sequences", items=movies),
            read(_moved(movies, folder), "sequences"),
        ):
            assert data.items.ids() == ["10", "20", "30"]
            assert data.item_table["title"][0] == "Été (1995)"
            assert data.user_table["gender"].to_list() == ["F", "M"]
            assert report.totals["items_without_interactions"] == 1

    def test_unknown_items_empty_lines_and_users_on_two_lines(self, put):
        data, report = read(
            put({"sequences.txt": "7 2 9\n\n8\n7 0\n", "items.jsonl": self.ITEMS}), "sequences"
        )
        assert data.interactions.item.tolist() == [2, 0]
        assert report.count("does not list") == 1
        assert report.count("user without any item") == 1
        assert report.count("user on several lines") == 1

    def test_without_items_ids_come_from_the_sequences(self, put):
        assert read(put({"log.txt": "u\tb\ta\nv\ta\n"}), "sequences")[0].items.ids() == ["b", "a"]

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ({"a.txt": "1 2\n", "b.txt": "1 2\n"}, "found a.txt, b.txt; give the file itself"),
            ({"README.txt": "words"}, "found none"),
            ({"sequences.txt": "1\n2\n"}, "no line holds a user id and item ids"),
            ({"sequences.txt": "1 x\n", "items.jsonl": ITEMS}, "no item of the sequences .*--items"),
            ({"sequences.txt": "1 x\n", "items.jsonl": '{"tags": ["a"]}'}, "no column could hold item ids"),
        ],
    )
    def test_what_does_not_fit_is_named(self, put, files, message):
        with pytest.raises(DataError, match=message):
            read(put(files), "sequences")


class TestAmazon:
    OLD: ClassVar = [
        {
            "reviewerID": "A1",
            "asin": "B1",
            "overall": 5.0,
            "unixReviewTime": T,
            "summary": "Good",
            "reviewText": "I &lt;3 it",
        },
        {
            "reviewerID": "A2",
            "asin": "B1",
            "overall": 1.0,
            "unixReviewTime": T + 86400,
            "summary": "Bad",
            "reviewText": "no",
        },
        {
            "reviewerID": "A2",
            "asin": "B9",
            "overall": 3.0,
            "unixReviewTime": T,
            "vote": "1,234",
            "verified": True,
        },
    ]
    META_2014 = (
        "{'asin': 'B1', 'title': \"It's &amp; more\", 'price': 9.5, 'brand': 'Acme', "
        "'categories': [['Beauty', 'Nails']]}\n"
        "{'asin': 'B2', 'title': 'never reviewed'}\n"
        "{'asin': __import__('os').getcwd()}\n"
    )

    def test_2014(self, put):
        lines = "\n".join(map(json.dumps, self.OLD))
        folder = put({"reviews_Beauty_5.json.gz": lines, "meta_Beauty.json.gz": self.META_2014})
        data, report = read(folder, "amazon")
        assert data.info.name == "reviews_Beauty_5"
        assert data.items.ids() == ["B1", "B9"]  # what was reviewed, not all that metadata lists
        assert data.item_table.to_dicts()[0] == {
            "title": "It's & more",
            "categories": ["Beauty", "Nails"],
            "brand": "Acme",
            "price": 9.5,
        }
        assert data.item_table["title"][1] == ""
        assert report.count("reviewed item without metadata") == 1
        assert report.count("line that is not a JSON object") == 1  # a call is no literal: never run
        assert data.interactions.rating.tolist() == [5.0, 3.0, 1.0]
        assert data.interactions.time.tolist() == [T, T, T + 86400]

    def test_2018(self, put):
        meta = {
            "asin": "B1",
            "title": "One",
            "category": ["Beauty", "Nails"],
            "description": ["Nice", "very"],
            "feature": ["soft"],
            "brand": "Acme",
            "price": "$1,299.00",
            "main_cat": "All Beauty",
            "imageURL": ["http://i"],
        }
        lines = "\n".join(map(json.dumps, self.OLD[:2]))
        folder = put({"Beauty_5.json": lines, "meta_Beauty.json": json.dumps(meta)})
        table = read(folder, "amazon")[0].item_table.to_dicts()[0]
        assert table["categories"] == ["All Beauty", "Beauty", "Nails"]
        assert table["description"] == "soft Nice very"
        assert (table["price"], table["image"]) == (1299.0, "http://i")

    def test_2023(self, put):
        review = {
            "rating": 4.0,
            "title": "Fine",
            "text": "works",
            "images": [{"small_image_url": "x"}],
            "asin": "B1-child",
            "parent_asin": "B1",
            "user_id": "U1",
            "timestamp": T * 1000,
            "helpful_vote": 0,
            "verified_purchase": True,
        }
        meta = {
            "main_category": "All Beauty",
            "title": "One",
            "features": ["soft"],
            "description": [],
            "price": None,
            "store": "Acme",
            "categories": ["Nails"],
            "details": {"Brand": "Acme Pro"},
            "parent_asin": "B1",
            "images": [{"thumb": "t", "large": "l"}],
            "bought_together": None,
        }
        other = {**review, "user_id": "U2", "images": [], "timestamp": T * 1000 + 1}
        folder = put(
            {
                "All_Beauty.jsonl.gz": json.dumps(review) + "\n" + json.dumps(other) + "\n",
                "meta_All_Beauty.jsonl.gz": json.dumps(meta),
            }
        )
        for data, report in (read(folder, "amazon"), read(folder / "All_Beauty.jsonl.gz", "amazon")):
            assert data.items.ids() == ["B1"]
            assert data.interactions.time.tolist() == [T, T + 0.001]
            assert report.count("milliseconds") == 2
            row = data.item_table.to_dicts()[0]
            assert row == {
                "title": "One",
                "description": "soft",
                "categories": ["All Beauty", "Nails"],
                "brand": "Acme Pro",
                "image": "l",
            }

    def test_the_words_of_a_review_reach_the_folder(self, put, tmp_path):
        from fuserec.data.readers import import_folder

        source = put({"reviews.json": "\n".join(map(json.dumps, self.OLD))})
        import_folder(source, tmp_path / "out", "amazon")
        assert "Good I <3 it" in (tmp_path / "out" / "interactions.csv").read_text()

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ({"a.json": '{"asin": "B"}'}, "reviews need 'reviewerID' or 'user_id' .*keys: asin"),
            ({"a.json": "x", "b.json": "y"}, "expected one file of reviews .*found a.json, b.json"),
            (
                {"r.json": json.dumps(OLD[0]), "meta_r.json": '{"asin": "other"}'},
                "describes none of the 1 items reviewed",
            ),
        ],
    )
    def test_what_does_not_fit_is_named(self, put, files, message):
        with pytest.raises(DataError, match=message):
            read(put(files), "amazon")


class TestRecBole:
    FILES: ClassVar = {
        "x.inter": f"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        f"1\t10\t4\t{T}\n2\t20\t3\t{T + 1}\n",
        "x.item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        '10\t"Heat"\t1995\tAction Crime\n20\tToy Story\t1994\t\n',
        "x.user": "user_id:token\tage:float\tzip_code:token\n1\t24\t01234\n2\t30\t55555\n",
        "x.kg": "head_id:token\trelation_id:token\ttail_id:token\n"
        "m.1\tby\tm.9\nm.9\tknows\t20\nm.2\tlike\tm.1\n",
        "x.link": "item_id:token\tentity_id:token\n10\tm.1\n20\tm.2\n",
    }

    @pytest.mark.parametrize("whole", [True, False])
    def test_atomic_files(self, put, whole):
        folder = put(self.FILES)
        data, report = read(folder if whole else folder / "x.inter", "recbole")
        assert data.info.name == "x"
        assert data.interactions.rating.tolist() == [4.0, 3.0]
        assert data.item_table.to_dict(as_series=False) == {
            "title": ['"Heat"', "Toy Story"],
            "categories": [["Action", "Crime"], []],
            "release_year": ["1995", "1994"],
        }
        assert data.user_table["age"].to_list() == [24, 30]
        assert data.user_table["zip_code"].to_list() == ["01234", "55555"]
        # entity "20" is no item, though an item bears that id
        assert data.links.rows() == [("10", "by", "m.9"), ("m.9", "knows", "entity:20"), ("20", "like", "10")]
        assert report.dropped == 0

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ({}, "expected one .inter file"),
            ({"x.inter": "user_id,item_id\n1,2\n"}, "is not 'name:type'"),
            (
                {"x.inter": "user:token\titem_id:token\n1\t2\n"},
                "no column 'user_id:token'; did you mean 'user'",
            ),
            ({**FILES, "x.kg": "head_id:token\ttail_id:token\na\tb\n"}, "no column 'relation_id:token'"),
        ],
    )
    def test_what_does_not_fit_is_named(self, put, files, message):
        with pytest.raises(DataError, match=message):
            read(put(files), "recbole")


class TestGoodbooks:
    def test_upstream_with_shelves(self, put):
        folder = put(
            {
                "ratings.csv": "user_id,book_id,rating\n1,1,5\n2,2,3\n1,2,3\n1,2,3\n",
                "books.csv": "book_id,goodreads_book_id,title,authors,original_publication_year\n"
                "1,900,Dune,Frank Herbert,1965.0\n2,901,Emma,Jane Austen,-720.0\n",
                "tags.csv": "tag_id,tag_name\n0,sci-fi\n1,classic\n",
                "book_tags.csv": "goodreads_book_id,tag_id,count\n900,1,5\n900,0,50\n901,1,7\n",
            }
        )
        data, report = read(folder, "goodbooks")
        assert data.items.ids() == ["1", "2"]
        assert data.item_table["title"].to_list() == ["Dune", "Emma"]
        assert data.item_table["brand"].to_list() == ["Frank Herbert", "Jane Austen"]
        assert data.item_table["tags"].to_list() == [["sci-fi", "classic"], ["classic"]]
        assert data.item_table["year"].to_list() == [1965, -720]
        assert report.count("duplicate row") == 1

    def test_older_copies_number_books_by_id(self, put):
        folder = put(
            {
                "ratings_random.csv.xz": "user_id,book_id,rating\n1,1,5\n2,2,3\n",
                "books.csv.xz": "id,book_id,title\n1,900,Dune\n2,901,Emma\n3,1,Trap\n",
            }
        )
        data, _ = read(folder, "goodbooks")
        assert data.items.ids() == ["1", "2", "3"]
        assert data.item_table["goodreads_book_id"].to_list() == ["900", "901", "1"]

    def test_what_does_not_fit_is_named(self, put):
        with pytest.raises(DataError, match=r"no ratings\.csv or ratings_random\.csv"):
            read(put({"books.csv": "id\n"}), "goodbooks")
        with pytest.raises(DataError, match="no column 'book_id'; did you mean 'book'"):
            read(put({"ratings.csv": "user_id,book,rating\n1,1,5\n"}), "goodbooks")


def _moved(file, folder):
    file.rename(folder / file.name)
    return folder
