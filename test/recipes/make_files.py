#!/usr/bin/env python3
"""Writes small files in the layouts of data sets that are public in this field, for test/t/045_recipes.pl:
the columns, their order, types and quoting are theirs, every value is drawn here.

usage: test/recipes/make_files.py FOLDER

  creditcard.csv            ULB credit card: Time, V1 to V28, Amount, Class
  PS_log.csv                PaySim: step is an hour
  banksim.csv               BankSim: step is a day, texts in single quotes
  train_transaction.csv     IEEE-CIS: 394 columns
  train_identity.csv        IEEE-CIS: 41 columns, of a part of the transactions
  fraudTrain.csv            Sparkov, as on Kaggle: the first column is an index without a name
"""
import csv
import datetime
import math
import pathlib
import random
import sys

DRAW = random.Random(20240601)
FRAUD_SHARE = 0.05


def is_fraud():
    return int(DRAW.random() < FRAUD_SHARE)


def writer(folder, name, **options):
    file = open(folder / name, "w", newline="")
    return file, csv.writer(file, lineterminator="\n", **options)


def ulb(folder, rows=4000):
    file, out = writer(folder, "creditcard.csv", quoting=csv.QUOTE_MINIMAL)
    with file:
        # The header of the original is in quotes.
        file.write(",".join(f'"{c}"' for c in ["Time", *(f"V{i}" for i in range(1, 29)), "Amount", "Class"]) + "\n")
        for row in range(rows):
            bad = is_fraud()
            v = [DRAW.gauss(0, 1.5) for _ in range(28)]
            if bad:
                v[3] += DRAW.gauss(4, 1)
                v[13] -= DRAW.gauss(7, 2)
            out.writerow([int(172800 * row / rows), *(f"{x:.14g}" for x in v), f"{math.exp(DRAW.gauss(3, 1.2)):.2f}", bad])


def paysim(folder, rows=4000):
    file, out = writer(folder, "PS_log.csv")
    with file:
        out.writerow("step,type,amount,nameOrig,oldbalanceOrg,newbalanceOrig,nameDest,oldbalanceDest,newbalanceDest,"
                     "isFraud,isFlaggedFraud".split(","))
        for row in range(rows):
            bad = is_fraud()
            kind = DRAW.choice(["TRANSFER", "CASH_OUT"]) if bad else DRAW.choice(["PAYMENT", "CASH_IN", "CASH_OUT", "DEBIT", "TRANSFER"])
            before = round(math.exp(DRAW.gauss(9, 1.5)), 2)
            amount = before if bad else round(min(before, math.exp(DRAW.gauss(6, 1.5))), 2)
            after = round(before + amount if kind == "CASH_IN" else before - amount, 2)
            dest = round(math.exp(DRAW.gauss(8, 2)), 2)
            receiver = f"M{DRAW.randrange(200):010d}" if kind == "PAYMENT" else f"C{DRAW.randrange(300):010d}"
            out.writerow([1 + row * 743 // rows, kind, f"{amount:.2f}", f"C{DRAW.randrange(10**10):010d}", f"{before:.2f}", f"{after:.2f}",
                          receiver, f"{dest:.2f}", f"{dest + amount:.2f}", bad, 0])


def banksim(folder, rows=4000):
    categories = ["es_transportation", "es_food", "es_health", "es_wellnessandbeauty", "es_travel", "es_leisure"]
    file, out = writer(folder, "banksim.csv")
    with file:
        out.writerow("step,customer,age,gender,zipcodeOri,merchant,zipMerchant,category,amount,fraud".split(","))
        for row in range(rows):
            bad = is_fraud()
            category = DRAW.choice(categories[4:] if bad else categories)
            amount = math.exp(DRAW.gauss(5.5 if bad else 3, 0.7))
            quoted = [f"'{x}'" for x in (f"C{DRAW.randrange(150):09d}", DRAW.randrange(7), DRAW.choice("MFE"), "28007",
                                         f"M{categories.index(category) * 5 + DRAW.randrange(5):09d}", "28007", category)]
            out.writerow([row * 180 // rows, *quoted, f"{amount:.2f}", bad])


TEXTS = {"ProductCD": "WCRHS", "card4": ["visa", "mastercard", "discover"], "card6": ["debit", "credit"],
         "P_emaildomain": ["gmail.com", "yahoo.com", "anonymous.com", ""], "R_emaildomain": ["gmail.com", "", ""],
         **{f"M{i}": "TF" for i in (1, 2, 3, 5, 6, 7, 8, 9)}, "M4": ["M0", "M1", "M2"],
         "id_12": ["Found", "NotFound"], "id_15": ["New", "Found"], "id_16": ["Found", "NotFound"],
         "id_23": ["IP_PROXY:TRANSPARENT", ""], "id_27": ["Found", ""], "id_28": ["New", "Found"], "id_29": ["Found", "NotFound"],
         "id_30": ["Windows 10", "iOS 11.1.2", ""], "id_31": ["chrome 63.0", "safari generic"], "id_33": ["1920x1080", ""],
         "id_34": ["match_status:2", ""], "id_35": "TF", "id_36": "TF", "id_37": "TF", "id_38": "TF",
         "DeviceType": ["desktop", "mobile"], "DeviceInfo": ["Windows", "iOS Device", "SM-G930V Build/NRD90M"]}


def ieee(folder, rows=3000):
    columns = ["TransactionID", "isFraud", "TransactionDT", "TransactionAmt", "ProductCD", *(f"card{i}" for i in range(1, 7)),
               "addr1", "addr2", "dist1", "dist2", "P_emaildomain", "R_emaildomain", *(f"C{i}" for i in range(1, 15)),
               *(f"D{i}" for i in range(1, 16)), *(f"M{i}" for i in range(1, 10)), *(f"V{i}" for i in range(1, 340))]
    identity = ["TransactionID", *(f"id_{i:02d}" for i in range(1, 39)), "DeviceType", "DeviceInfo"]
    assert len(columns) == 394 and len(identity) == 41
    file, out = writer(folder, "train_transaction.csv")
    other, out_identity = writer(folder, "train_identity.csv")
    with file, other:
        out.writerow(columns)
        out_identity.writerow(identity)
        for row in range(rows):
            bad = is_fraud()
            known = {"TransactionID": 2987000 + row, "isFraud": bad, "TransactionDT": 86400 + row * 4500,
                     "TransactionAmt": f"{math.exp(DRAW.gauss(4, 1)):.3f}", "card1": DRAW.randrange(1000, 1200),
                     "ProductCD": "C" if bad else DRAW.choice("WWWWCRHS"), "C1": DRAW.randrange(4, 40) if bad else DRAW.randrange(9)}

            def value(column):
                if column in known:
                    return known[column]
                if column in TEXTS:
                    return DRAW.choice(TEXTS[column])
                return "" if DRAW.random() < 0.4 else f"{DRAW.gauss(10, 5):.4g}"
            out.writerow([value(c) for c in columns])
            if DRAW.random() < 0.25:
                out_identity.writerow([value(c) for c in identity])


def sparkov(folder, rows=4000):
    columns = ("trans_date_trans_time,cc_num,merchant,category,amt,first,last,gender,street,city,state,zip,lat,long,city_pop,job,dob,"
               "trans_num,unix_time,merch_lat,merch_long,is_fraud").split(",")
    people = [{"cc_num": 400000000000 + 7919 * i, "first": f"First{i}", "last": f"Last{i}", "gender": DRAW.choice("MF"),
               "street": f"{i} Main Street", "city": "Springfield", "state": "NC", "zip": 28000 + i, "lat": 35 + DRAW.random(),
               "long": -79 - DRAW.random(), "city_pop": 1000 * i, "job": "Engineer", "dob": f"19{60 + i % 40}-05-17"} for i in range(1, 61)]
    file, out = writer(folder, "fraudTrain.csv")
    with file:
        out.writerow(["", *columns])
        for row in range(rows):
            bad = is_fraud()
            at = datetime.datetime(2019, 1, 1) + datetime.timedelta(seconds=row * 2700)
            payment = {**DRAW.choice(people), "trans_date_trans_time": at.isoformat(" "), "merchant": f"fraud_Shop {DRAW.randrange(80)}",
                       "category": DRAW.choice(["shopping_net", "misc_net"] if bad else ["grocery_pos", "gas_transport", "home", "shopping_net"]),
                       "amt": f"{math.exp(DRAW.gauss(6.5 if bad else 3.5, 0.8)):.2f}", "trans_num": f"{DRAW.getrandbits(128):032x}",
                       "unix_time": int(at.replace(tzinfo=datetime.timezone.utc).timestamp()), "merch_lat": 35.5, "merch_long": -79.5,
                       "is_fraud": bad}
            out.writerow([row, *(payment[c] for c in columns)])


def main():
    folder = pathlib.Path(sys.argv[1])
    for write in (ulb, paysim, banksim, ieee, sparkov):
        write(folder)


if __name__ == "__main__":
    main()
