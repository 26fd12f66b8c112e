// The lists that the simulator draws towns, names, jobs and habits from.
#pragma once

#include "core/base/guard.h"

#include <array>
#include <cstddef>
#include <string_view>

namespace fraud {

struct City {
  std::string_view name, state, zip;
  double latitude, longitude;
  int population;
};

constexpr std::array<City, 64> kCities = {{
    {"New York", "NY", "10001", 40.7506, -73.9971, 8804190},
    {"Los Angeles", "CA", "90012", 34.0614, -118.2385, 3898747},
    {"Chicago", "IL", "60601", 41.8858, -87.6229, 2746388},
    {"Houston", "TX", "77002", 29.7594, -95.3594, 2304580},
    {"Phoenix", "AZ", "85004", 33.4516, -112.0685, 1608139},
    {"Philadelphia", "PA", "19107", 39.9513, -75.1588, 1603797},
    {"San Antonio", "TX", "78205", 29.4237, -98.4925, 1434625},
    {"San Diego", "CA", "92101", 32.7185, -117.1593, 1386932},
    {"Dallas", "TX", "75201", 32.7904, -96.8044, 1304379},
    {"Jacksonville", "FL", "32202", 30.3299, -81.6517, 949611},
    {"Columbus", "OH", "43215", 39.9671, -83.0044, 905748},
    {"Charlotte", "NC", "28202", 35.2286, -80.8442, 874579},
    {"Indianapolis", "IN", "46204", 39.7713, -86.157, 887642},
    {"Seattle", "WA", "98101", 47.6114, -122.3305, 737015},
    {"Denver", "CO", "80202", 39.7491, -104.9946, 715522},
    {"Boston", "MA", "02108", 42.3576, -71.0684, 675647},
    {"Nashville", "TN", "37203", 36.15, -86.792, 689447},
    {"Detroit", "MI", "48226", 42.3315, -83.0495, 639111},
    {"Portland", "OR", "97201", 45.4989, -122.6914, 652503},
    {"Memphis", "TN", "38103", 35.144, -90.048, 633104},
    {"Baltimore", "MD", "21202", 39.2998, -76.6075, 585708},
    {"Milwaukee", "WI", "53202", 43.0506, -87.8968, 577222},
    {"Albuquerque", "NM", "87102", 35.0818, -106.6482, 564559},
    {"Tucson", "AZ", "85701", 32.2139, -110.9694, 542629},
    {"Kansas City", "MO", "64105", 39.1024, -94.5986, 508090},
    {"Atlanta", "GA", "30303", 33.7525, -84.3888, 498715},
    {"Omaha", "NE", "68102", 41.2599, -95.9342, 486051},
    {"Minneapolis", "MN", "55401", 44.9835, -93.2683, 429954},
    {"New Orleans", "LA", "70112", 29.9605, -90.0753, 383997},
    {"Cleveland", "OH", "44113", 41.4816, -81.7018, 372624},
    {"Tampa", "FL", "33602", 27.9614, -82.4597, 384959},
    {"Pittsburgh", "PA", "15222", 40.4479, -79.993, 302971},
    {"Cincinnati", "OH", "45202", 39.1072, -84.5019, 309317},
    {"St. Louis", "MO", "63101", 38.6346, -90.1913, 301578},
    {"Lincoln", "NE", "68508", 40.8145, -96.7009, 291082},
    {"Buffalo", "NY", "14202", 42.8872, -78.8779, 278349},
    {"Boise", "ID", "83702", 43.6322, -116.2052, 235684},
    {"Spokane", "WA", "99201", 47.6637, -117.4326, 228989},
    {"Des Moines", "IA", "50309", 41.5888, -93.6209, 214133},
    {"Salt Lake City", "UT", "84101", 40.7559, -111.8967, 199723},
    {"Little Rock", "AR", "72201", 34.7483, -92.2819, 202591},
    {"Sioux Falls", "SD", "57104", 43.5514, -96.7375, 192517},
    {"Chattanooga", "TN", "37402", 35.0464, -85.3094, 181099},
    {"Fargo", "ND", "58102", 46.9217, -96.8317, 125990},
    {"Billings", "MT", "59101", 45.7742, -108.5005, 117116},
    {"Charleston", "SC", "29401", 32.7795, -79.9371, 150227},
    {"Burlington", "VT", "05401", 44.484, -73.2199, 44743},
    {"Portland", "ME", "04101", 43.6606, -70.2589, 68408},
    {"Manchester", "NH", "03101", 42.9929, -71.4633, 115644},
    {"Providence", "RI", "02903", 41.82, -71.4158, 190934},
    {"Cheyenne", "WY", "82001", 41.1437, -104.7962, 65132},
    {"Bismarck", "ND", "58501", 46.8206, -100.705, 73622},
    {"Santa Fe", "NM", "87501", 35.7028, -105.9744, 87505},
    {"Bend", "OR", "97701", 44.091, -121.242, 99178},
    {"Flagstaff", "AZ", "86001", 35.219, -111.678, 76831},
    {"Asheville", "NC", "28801", 35.5971, -82.5565, 94589},
    {"Ithaca", "NY", "14850", 42.4439, -76.5019, 32108},
    {"Durango", "CO", "81301", 37.3087, -107.8484, 19071},
    {"Moab", "UT", "84532", 38.5733, -109.5498, 5366},
    {"Bar Harbor", "ME", "04609", 44.3876, -68.2039, 5089},
    {"Key West", "FL", "33040", 24.5557, -81.7826, 26444},
    {"Marfa", "TX", "79843", 30.3095, -104.0206, 1788},
    {"Telluride", "CO", "81435", 37.9375, -107.8123, 2607},
    {"Beaufort", "SC", "29902", 32.4316, -80.6698, 13607},
}};

// The categories of merchants, in alphabetical order.
constexpr size_t kCategoryCount = 14;
constexpr std::array<std::string_view, kCategoryCount> kCategories = {
    "entertainment",  "food_dining",  "gas_transport", "grocery_net", "grocery_pos",
    "health_fitness", "home",         "kids_pets",     "misc_net",    "misc_pos",
    "personal_care",  "shopping_net", "shopping_pos",  "travel"};

// How people pay in a category: how often, and how much.
struct CategoryHabit {
  double weight;  // relative frequency
  double median;  // US dollars
  double sigma;   // deviation of the amount's logarithm
};

// In the order of kCategories.
constexpr std::array<CategoryHabit, kCategoryCount> kCategoryHabits = {{
    {7, 42, 0.7},    // entertainment
    {8, 34, 0.6},    // food_dining
    {10, 58, 0.25},  // gas_transport
    {4, 50, 0.4},    // grocery_net
    {10, 92, 0.45},  // grocery_pos
    {7, 40, 0.7},    // health_fitness
    {9, 46, 0.7},    // home
    {9, 44, 0.7},    // kids_pets
    {5, 18, 1.1},    // misc_net
    {6, 18, 1.1},    // misc_pos
    {7, 35, 0.6},    // personal_care
    {8, 28, 1.1},    // shopping_net
    {9, 28, 1.1},    // shopping_pos
    {3, 24, 1.3},    // travel
}};

// Relative activity in each local hour of the day, of three kinds of people.
constexpr size_t kRhythmCount = 3;
constexpr std::array<std::array<int, 24>, kRhythmCount> kRhythms = {{
    {2, 1, 1, 1, 1, 2, 5, 12, 16, 18, 20, 24, 30, 28, 22, 20, 22, 28, 32, 30, 24, 16, 9, 4},
    {1, 1, 1, 2, 5, 12, 22, 30, 30, 28, 28, 28, 28, 24, 22, 20, 18, 18, 14, 10, 6, 4, 2, 1},
    {22, 18, 14, 8, 4, 2, 2, 3, 5, 8, 10, 14, 18, 18, 16, 16, 18, 22, 26, 30, 30, 30, 28, 26},
}};

constexpr std::array<std::string_view, 40> kFemaleNames = {
    "Mary",     "Patricia", "Jennifer", "Linda",   "Susan",   "Jessica", "Sarah",     "Karen",
    "Lisa",     "Nancy",    "Sandra",   "Betty",   "Ashley",  "Emily",   "Donna",     "Michelle",
    "Carol",    "Amanda",   "Melissa",  "Deborah", "Rebecca", "Laura",   "Sharon",    "Cynthia",
    "Kathleen", "Amy",      "Angela",   "Anna",    "Ruth",    "Brenda",  "Nicole",    "Helen",
    "Rachel",   "Maria",    "Heather",  "Diane",   "Julie",   "Joyce",   "Christine", "Alice"};

constexpr std::array<std::string_view, 40> kMaleNames = {
    "James",   "Robert",  "John",    "Michael", "David",   "William", "Richard", "Joseph",
    "Thomas",  "Charles", "Daniel",  "Matthew", "Anthony", "Mark",    "Steven",  "Paul",
    "Andrew",  "Joshua",  "Kenneth", "Kevin",   "Brian",   "George",  "Edward",  "Ronald",
    "Timothy", "Jason",   "Jeffrey", "Ryan",    "Jacob",   "Gary",    "Eric",    "Stephen",
    "Larry",   "Justin",  "Scott",   "Brandon", "Samuel",  "Gregory", "Patrick", "Peter"};

// 128, so that seven bits pick one.
constexpr std::array<std::string_view, 128> kSurnames = {
    "Adams",   "Allen",      "Anderson",  "Bailey",   "Baker",    "Barnes",    "Bell",
    "Bennett", "Brooks",     "Brown",     "Bryant",   "Butler",   "Campbell",  "Carter",
    "Clark",   "Cole",       "Collins",   "Cook",     "Cooper",   "Cox",       "Cruz",
    "Daniels", "Davis",      "Diaz",      "Dixon",    "Edwards",  "Ellis",     "Evans",
    "Fisher",  "Flores",     "Ford",      "Foster",   "Fox",      "Freeman",   "Garcia",
    "Gibson",  "Gomez",      "Gordon",    "Graham",   "Grant",    "Gray",      "Green",
    "Griffin", "Hall",       "Hamilton",  "Harris",   "Harrison", "Hayes",     "Henry",
    "Hill",    "Howard",     "Hughes",    "Hunter",   "Jackson",  "James",     "Jenkins",
    "Johnson", "Jones",      "Jordan",    "Kelly",    "Kennedy",  "King",      "Knight",
    "Lee",     "Lewis",      "Long",      "Lopez",    "Marshall", "Martin",    "Martinez",
    "Mason",   "McDonald",   "Miller",    "Mitchell", "Moore",    "Morales",   "Morgan",
    "Morris",  "Murphy",     "Murray",    "Myers",    "Nelson",   "Nguyen",    "Ortiz",
    "Owens",   "Parker",     "Patterson", "Perez",    "Perry",    "Peterson",  "Phillips",
    "Porter",  "Powell",     "Price",     "Ramirez",  "Reed",     "Reyes",     "Reynolds",
    "Rice",    "Richardson", "Rivera",    "Roberts",  "Robinson", "Rodriguez", "Rogers",
    "Ross",    "Russell",    "Sanders",   "Scott",    "Shaw",     "Simmons",   "Smith",
    "Stevens", "Stewart",    "Sullivan",  "Taylor",   "Thomas",   "Thompson",  "Torres",
    "Turner",  "Wagner",     "Walker",    "Ward",     "Watson",   "White",     "Williams",
    "Wilson",  "Young"};

constexpr std::array<std::string_view, 40> kJobs = {"Accountant",
                                                    "Architect",
                                                    "Art therapist",
                                                    "Barrister",
                                                    "Biomedical scientist",
                                                    "Bookseller",
                                                    "Civil engineer",
                                                    "Community nurse",
                                                    "Copywriter",
                                                    "Dentist",
                                                    "Electrical engineer",
                                                    "Environmental consultant",
                                                    "Event organiser",
                                                    "Exercise physiologist",
                                                    "Film editor",
                                                    "Fitness instructor",
                                                    "Forest ranger",
                                                    "Geoscientist",
                                                    "Graphic designer",
                                                    "Hospital doctor",
                                                    "Hydrologist",
                                                    "Insurance broker",
                                                    "Journalist, newspaper",
                                                    "Land surveyor",
                                                    "Librarian, academic",
                                                    "Mechanical engineer",
                                                    "Museum curator",
                                                    "Music tutor",
                                                    "Occupational therapist",
                                                    "Paramedic",
                                                    "Pharmacist, community",
                                                    "Physiotherapist",
                                                    "Purchasing manager",
                                                    "Quantity surveyor",
                                                    "Sales executive",
                                                    "Social worker",
                                                    "Systems analyst",
                                                    "Teacher, primary school",
                                                    "Tree surgeon",
                                                    "Veterinary surgeon"};

constexpr std::array<std::string_view, 8> kStreetKinds = {"Street", "Avenue", "Drive", "Lane",
                                                          "Road",   "Court",  "Way",   "Terrace"};

constexpr std::array<std::string_view, 8> kCompanyKinds = {
    " LLC", " Group", " Inc", " Ltd", " PLC", " and Sons", " Brothers", " Partners"};

}  // namespace fraud
